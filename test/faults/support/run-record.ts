import { createHash } from "node:crypto";
import { type RunEvent, RunEventSchema, RunOutcome, RunState } from "@agent-manager/sdk/proto";
import { fromBinary } from "@bufbuild/protobuf";
import type { Db } from "../../../server/src/store/schema.js";
import type { OutputStream } from "./ledger.js";

const PAGE_EVENTS = 2_000;

/** What a run's log says of it, gathered from its events alone. */
export interface RunRecord {
  /** The hashes of the agent's lines that are log events, in the log's order. */
  readonly lines: Readonly<Record<OutputStream, readonly string[]>>;
  readonly events: number;
  /** How often an agent is said to have been started. */
  readonly launches: number;
  readonly state: RunState;
  readonly outcome: RunOutcome;
  readonly exitCodes: readonly (number | undefined)[];
  readonly sessionId: string;
  readonly result: string;
  /** What the log itself shows to be wrong. */
  readonly problems: readonly string[];
}

/** Events that tell of one moment in a run's life; a second one with the same content is a repetition. */
const once: ReadonlySet<string> = new Set(["warning", "sandbox", "changeSet", "turnStarted", "turnEnded", "usage"]);

/** Reads all events of a run and folds them. */
export async function readRunRecord(db: Db, runId: string): Promise<RunRecord> {
  const fold = new RecordFold();
  for (let after = 0n, rows = PAGE_EVENTS; rows === PAGE_EVENTS; ) {
    const page = await db
      .selectFrom("run_event")
      .select(["sequence", "event", "kind"])
      .where("run_id", "=", runId)
      .where("sequence", ">", after)
      .orderBy("sequence")
      .limit(PAGE_EVENTS)
      .execute();
    for (const row of page) fold.add(fromBinary(RunEventSchema, row.event), row.kind);
    rows = page.length;
    after = page.at(-1)?.sequence ?? after;
  }
  return fold;
}

class RecordFold implements RunRecord {
  readonly lines: Record<OutputStream, string[]> = { stdout: [], stderr: [] };
  readonly exitCodes: (number | undefined)[] = [];
  readonly problems: string[] = [];
  readonly #seen = new Set<string>();
  events = 0;
  launches = 0;
  state = RunState.UNSPECIFIED;
  outcome = RunOutcome.UNSPECIFIED;
  sessionId = "";
  result = "";

  add({ event }: RunEvent, kind: number): void {
    this.events += 1;
    if (event.case === undefined) this.problems.push(`an event of kind ${kind} cannot be read`);
    this.#checkOnce(event);
    switch (event.case) {
      case "log":
        this.lines[event.value.stderr ? "stderr" : "stdout"].push(hashOf(event.value.data));
        break;
      case "runStateChanged":
        this.#follow(event.value);
        break;
      case "processStarted":
        this.launches += 1;
        break;
      case "processEnded":
        this.exitCodes.push(event.value.exitCode);
        break;
      case "sessionBound":
        this.sessionId = event.value.sessionId || this.sessionId;
        break;
      case "turnEnded":
        this.result = event.value.result || this.result;
        break;
      default:
    }
  }

  #follow({ from, to, outcome }: { from: RunState; to: RunState; outcome: RunOutcome }): void {
    if (from !== this.state) {
      const names = [this.state, from, to].map((state) => RunState[state]);
      this.problems.push(`the run was ${names[0]} and is said to go from ${names[1]} to ${names[2]}`);
    }
    this.state = to;
    this.outcome = outcome || this.outcome;
  }

  #checkOnce(event: RunEvent["event"]): void {
    if (!once.has(event.case ?? "")) return;
    const content = JSON.stringify(event, (_key, value: unknown) =>
      typeof value === "bigint" ? String(value) : value,
    );
    if (event.case === "warning" && event.value.code === "owner_changed") return; // each change of owner says so
    if (this.#seen.has(content)) this.problems.push(`said twice: ${content}`);
    this.#seen.add(content);
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
