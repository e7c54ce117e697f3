/**
 * What server and supervisor say to each other over the run's unix socket: one JSON object per line. The
 * supervisor of an older version may serve a newer server, so members are only ever added.
 */
export const PROTOCOL_VERSION = 1;

export type StopCause = "stop" | "timeout" | "inactivity" | "shutdown" | "outputQuota" | "diskFull";

export type ServerMessage =
  /** Must come first. A wrong nonce or an older epoch than one seen before ends the connection. */
  | { readonly type: "hello"; readonly nonce: string; readonly epoch: string }
  /** Writes a line to the agent once: a second write with the same id is acknowledged and dropped. */
  | { readonly type: "write"; readonly id: string; readonly text: string }
  /** Closes the agent's standard input, once. */
  | { readonly type: "end"; readonly id: string }
  /** Ends the agent: interrupt, grace, SIGTERM, SIGKILL. The first stop counts. */
  | { readonly type: "stop"; readonly cause: StopCause };

export type SupervisorMessage =
  | { readonly type: "hello"; readonly version: number; readonly pid: number; readonly offset: number }
  /** The spool has grown to this offset. */
  | { readonly type: "spooled"; readonly offset: number };

/** How to run one agent; written to `spec.json` before the supervisor starts. */
export interface SupervisorSpec {
  readonly version: number;
  readonly runId: string;
  /** Proves that a process or socket belongs to this launch of the run. */
  readonly nonce: string;
  readonly command: readonly [string, ...string[]];
  readonly workingDirectory: string;
  /** Names of the variables of the supervisor's environment that the agent gets. Values stay off the disk. */
  readonly environment: readonly string[];
  /** Names of those whose values are cut out of everything that is spooled. */
  readonly secrets: readonly string[];
  readonly timeoutMs: number;
  /** 0: no limit. */
  readonly inactivityTimeoutMs: number;
  readonly graceMs: number;
  /** The agent is ended when its spool is larger than this, in bytes. */
  readonly maxOutputBytes: number;
  /** The agent is ended when the disk has taken nothing for this long. */
  readonly diskFullLimitMs: number;
  /** The line that interrupts the agent's turn; null if the runner has none. */
  readonly interrupt: string | null;
}

/** Who runs; written to `state.json` before the agent may start. */
export interface SupervisorState {
  readonly version: number;
  readonly nonce: string;
  readonly bootId: string;
  readonly supervisor: ProcessIdentity;
  readonly agent: ProcessIdentity;
}

/** A pid alone can be recycled; with its start time (clock ticks since boot) it cannot. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

/** Splits a stream of bytes into JSON lines. */
export class MessageReader<Message> {
  #rest = "";

  read(chunk: string): readonly Message[] {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop() ?? "";
    // both ends are ours and the socket's folder is 0700
    return lines.filter(Boolean).map((line) => JSON.parse(line) as Message);
  }
}

export function encodeMessage(message: ServerMessage | SupervisorMessage): string {
  return `${JSON.stringify(message)}\n`;
}
