import type { Logger } from "pino";
import type { LogHub } from "../log/log-hub.js";
import type { LogWriter } from "../log/log-writer.js";
import type { Reviewer } from "../review/reviewer.js";
import type { Runner } from "../runners/runner.js";
import type { SandboxProvider } from "../sandbox/sandbox-provider.js";
import type { Db } from "../store/schema.js";
import type { RunChanges } from "./run-changes.js";

/** What every execution of this server shares. */
export interface ExecutionContext {
  readonly db: Db;
  readonly writer: LogWriter;
  readonly hub: LogHub;
  readonly changes: RunChanges;
  /** The sandboxes of a data directory, this server's own or another one's on the same host. */
  readonly sandboxesIn: (dataDir: string) => SandboxProvider;
  readonly reviewer: Reviewer;
  readonly runners: ReadonlyMap<string, Runner>;
  /** Programs of runners from the configuration, by runner id; see resolveRunnerCommand. */
  readonly runnerCommands: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** Identifies this server's data directory: the runs whose agents are on this host. */
  readonly serverId: string;
  readonly dataDir: string;
  /** How long an agent may take to end by itself after an interrupt, in milliseconds. */
  readonly graceMs: number;
  readonly maxActiveRuns: number;
  /** A run whose agent wrote more than this is ended, in bytes. */
  readonly maxOutputBytes: number;
  /** How long an agent may wait for a full disk before it is ended, in milliseconds. */
  readonly diskFullLimitMs: number;
  /** How long the other servers take this one to be alive after its last word, in milliseconds. */
  readonly leaseTtlMs: number;
  /** How long after that a run whose host cannot be reached is given up, in milliseconds. */
  readonly hostLostMs: number;
  readonly serverEnvironment: Readonly<Record<string, string | undefined>>;
  /** Aborted when the server leaves; agents go on without it. */
  readonly signal: AbortSignal;
}
