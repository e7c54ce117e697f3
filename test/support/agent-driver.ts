import { spawn } from "node:child_process";
import type { RunConfig } from "@agent-manager/sdk/proto";
import type {
  AgentOutcome,
  AgentWrite,
  DeltaDraft,
  EventDraft,
  ProtocolOutput,
  Runner,
  SpoolTime,
} from "../../server/src/runners/runner.js";

export interface Drive {
  readonly runner: Runner;
  /** Program and leading arguments. */
  readonly command: readonly [string, ...string[]];
  readonly prompt: string;
  readonly config: RunConfig;
  readonly workspace: string;
  readonly home: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly sessionId?: string;
  readonly resumeSessionId?: string;
  readonly confined?: boolean;
  /** Ends the process the hard way after this long. Default: 60,000. */
  readonly timeoutMs?: number;
  /** Sees each event as it comes; what it returns is written to the agent. */
  readonly react?: (event: EventDraft, interrupt: () => string | undefined) => string | undefined;
}

export interface Driven {
  readonly events: readonly EventDraft[];
  readonly deltas: readonly DeltaDraft[];
  readonly outcome: AgentOutcome;
  readonly warnings: readonly string[];
  readonly code: number | null;
  readonly signal: string | null;
}

/** Runs an agent program under its adapter, without supervisor, sandbox or database. */
export async function driveAgent(drive: Drive): Promise<Driven> {
  const session = {
    runId: "driven-run",
    config: drive.config,
    newSessionId: drive.sessionId ?? crypto.randomUUID(),
    ...(drive.resumeSessionId === undefined ? {} : { resumeSessionId: drive.resumeSessionId }),
  };
  const place = { home: drive.home, confined: drive.confined ?? false, root: process.getuid?.() === 0 };
  const launch = drive.runner.launch({ ...session, ...place, command: drive.command });
  const protocol = drive.runner.protocol({ ...session, prompt: drive.prompt });
  const events: EventDraft[] = [];
  const deltas: DeltaDraft[] = [];

  const [program, ...args] = launch.command;
  const child = spawn(program, args, {
    cwd: drive.workspace,
    env: { ...baseEnvironment(drive.home), ...launch.environment, ...drive.environment },
    stdio: "pipe",
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), drive.timeoutMs ?? 60_000);
  // A program that has ended reads no more; how it ended is told by its output.
  child.stdin.on("error", () => {});

  const take = (output: ProtocolOutput): void => {
    deltas.push(...output.deltas);
    for (const write of output.writes) perform(write);
    for (const event of output.events) {
      events.push(event);
      const line = drive.react?.(event, () => protocol.interrupt());
      if (line !== undefined) child.stdin.write(`${line}\n`);
    }
  };
  const perform = (write: AgentWrite): void => {
    if (write.kind === "end") child.stdin.end();
    else child.stdin.write(`${write.text}\n`, () => take(protocol.written(write.id, now())));
  };

  take(protocol.start());
  readLines(child.stdout, (line) => take(protocol.stdout(line, now())));
  readLines(child.stderr, (line) => take(protocol.stderr(line, now())));
  const { code, signal } = await ended(child);
  clearTimeout(timer);
  const last = protocol.exited({ code, signal, cause: null }, now());
  take(last);
  return { events, deltas, outcome: last.outcome, warnings: launch.warnings, code, signal };
}

function baseEnvironment(home: string): Record<string, string> {
  const path = process.env.PATH ?? "/usr/bin:/bin";
  return { PATH: path, HOME: home, TMPDIR: home, LANG: "C.UTF-8", TERM: "dumb", AGENT_MANAGER_RUN_ID: "driven-run" };
}

function now(): SpoolTime {
  return { wallMs: Date.now(), monotonicNs: process.hrtime.bigint() };
}

function readLines(stream: NodeJS.ReadableStream, take: (line: Uint8Array) => void): void {
  let rest = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      take(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
    }
  });
  stream.on("end", () => {
    if (rest.length > 0) take(rest);
  });
}

async function ended(child: ReturnType<typeof spawn>): Promise<{ code: number | null; signal: string | null }> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}
