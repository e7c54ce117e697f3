import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PermissionMode, type RunConfig, RunConfigSchema } from "@agent-manager/sdk/proto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type {
  AgentOutcome,
  AgentWrite,
  DeltaDraft,
  EventDraft,
  ProtocolOutput,
  RunEventKind,
  RunnerProtocol,
} from "../../server/src/runners/runner.js";

const folder = join(import.meta.dirname, "../fixtures/recordings/claude-code");

/** What a real claude 2.1.197 wrote in one recorded case, and how its process ended. */
export interface Recording {
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  readonly code: number | null;
  readonly signal: string | null;
}

interface RecordedEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}

/** Names of the recorded cases. */
export const recordingNames: readonly string[] = readdirSync(folder)
  .filter((file) => file.endsWith(".jsonl") && !file.endsWith(".bidir.jsonl"))
  .map((file) => file.slice(0, -".jsonl".length));

export function readRecording(name: string): Recording {
  // index.json stands beside the recordings and is made with them.
  const ends = JSON.parse(readFileSync(join(folder, "index.json"), "utf8")) as Readonly<Record<string, RecordedEnd>>;
  const end = ends[name];
  if (end === undefined) throw new Error(`no such recording: ${name}`);
  return {
    stdout: lines(readFileSync(join(folder, `${name}.jsonl`), "utf8")),
    stderr: lines(end.stderr),
    ...pick(end),
  };
}

/** The lines that claude wrote in the recorded dialogue of three turns. */
export function readDialogue(): readonly string[] {
  const entries = lines(readFileSync(join(folder, "three-turns.bidir.jsonl"), "utf8"));
  return entries
    .map((entry) => JSON.parse(entry) as { readonly dir: string; readonly msg: unknown })
    .filter((entry) => entry.dir === "<")
    .map((entry) => JSON.stringify(entry.msg));
}

function lines(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "");
}

function pick({ code, signal }: RecordedEnd): Pick<Recording, "code" | "signal"> {
  return { code, signal };
}

/** What a protocol made of a whole process. */
export interface Replayed {
  readonly events: readonly EventDraft[];
  readonly deltas: readonly DeltaDraft[];
  readonly writes: readonly AgentWrite[];
  readonly outcome: AgentOutcome;
}

/** The moment that every line of a replay has: 2026-11-22T08:00:00Z. */
export const replayTime = { wallMs: Date.UTC(2026, 10, 22, 8), monotonicNs: 0n };

/** Gives a recorded process to a protocol from start to end. */
export function replay(protocol: RunnerProtocol, recording: Recording): Replayed {
  const encode = (line: string): Uint8Array => new TextEncoder().encode(line);
  const outputs: ProtocolOutput[] = [protocol.start(), protocol.written("init", replayTime)];
  outputs.push(protocol.written("prompt-1", replayTime));
  outputs.push(...recording.stdout.map((line) => protocol.stdout(encode(line), replayTime)));
  outputs.push(...recording.stderr.map((line) => protocol.stderr(encode(line), replayTime)));
  const last = protocol.exited({ code: recording.code, signal: recording.signal, cause: null }, replayTime);
  outputs.push(last);
  return {
    events: outputs.flatMap((output) => output.events),
    deltas: outputs.flatMap((output) => output.deltas),
    writes: outputs.flatMap((output) => output.writes),
    outcome: last.outcome,
  };
}

type ValueOf<K extends RunEventKind> =
  Extract<EventDraft["event"], { case: K }> extends { readonly value: infer Value } ? Value : never;

/** The values of the events of one kind. */
export function eventsOf<K extends RunEventKind>(events: readonly EventDraft[], kind: K): readonly ValueOf<K>[] {
  return events.flatMap(({ event }) => {
    // The comparison proves the kind, which TypeScript does not follow through a generic parameter.
    return event.case === kind ? [event.value as ValueOf<K>] : [];
  });
}

/** A resolved config with what a test says and plain values for the rest. */
export function runConfig(init: MessageInitShape<typeof RunConfigSchema> = {}): RunConfig {
  return create(RunConfigSchema, { runner: "claude-code", permissionMode: PermissionMode.ACCEPT_EDITS, ...init });
}
