import type {
  AuthenticationState,
  DeltaChannel,
  EventSource,
  RunConfig,
  RunEvent,
  RunEventSchema,
  RunnerCapability,
  RunnerIds,
} from "@agent-manager/sdk/proto";
import type { MessageInitShape } from "@bufbuild/protobuf";

/**
 * A runner makes one agent program usable: it is data and three functions. It knows nothing of the database,
 * the log or the sandbox. Adding a runner touches its own folder and one line of registry.ts.
 */
export interface Runner {
  /** The id in the API, for example "claude-code". */
  readonly id: string;
  readonly displayName: string;
  /** The program looked up on the PATH when the configuration names none. */
  readonly defaultProgram: string;
  /** How to get the program; shown when it is missing. */
  readonly installHint: string;
  /** Versions that the recorded wire was checked with, for example "2.1.x". */
  readonly testedVersions: string;
  readonly capabilities: readonly Pick<RunnerCapability, "name" | "support" | "limit">[];
  /** Models that the program is known to take. */
  readonly models: readonly string[];
  /**
   * Names of variables of the server's environment that the program needs to sign in; they reach the agent
   * without being named in the run's config. Values are redacted from everything that is stored.
   */
  readonly credentialVariables: readonly string[];
  /**
   * Names of variables that the program needs and that are no secrets, for example the address of its model
   * endpoint; they reach the agent as `credentialVariables` do and are not redacted.
   */
  readonly passedVariables: readonly string[];

  /** Looks at the program without sending a prompt: version and sign-in. Never throws for a bad program. */
  detect(request: DetectRequest): Promise<Detection>;

  /** Says how to start the program for a run. Pure. */
  launch(request: LaunchRequest): RunnerLaunch;

  /**
   * Makes the state machine for one process of the agent. Pure and deterministic: the same calls in the same
   * order give the same outputs, ids included, so that reading a spool again rebuilds the state.
   */
  protocol(request: ProtocolRequest): RunnerProtocol;
}

export interface DetectRequest {
  /** Program and leading arguments. */
  readonly command: readonly [string, ...string[]];
  /** The environment that a run would get. */
  readonly environment: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface Detection {
  readonly installed: boolean;
  readonly version: string;
  readonly path: string;
  readonly authentication: AuthenticationState;
  /** What is missing and how to get it; empty if nothing. */
  readonly problem: string;
}

export interface LaunchRequest {
  readonly runId: string;
  readonly command: readonly [string, ...string[]];
  readonly config: RunConfig;
  /** Set to continue a session of the runner. */
  readonly resumeSessionId?: string;
  /** The session id for a new session, for runners that let us choose it (a UUID). */
  readonly newSessionId: string;
  /** The agent's own home folder, outside the workspace; kept per project and runner. */
  readonly home: string;
  /** True if the sandbox confines the agent's writes. */
  readonly confined: boolean;
  /** True if the process will have user id 0 as it sees itself. */
  readonly root: boolean;
  /** Names of the `credentialVariables` that the process will get. Default: none. */
  readonly credentials?: readonly string[];
}

export interface RunnerLaunch {
  /** Program and arguments; never a shell string. */
  readonly command: readonly [string, ...string[]];
  /** Variables beyond those that every agent gets (PATH, HOME, TMPDIR, LANG, TERM, AGENT_MANAGER_RUN_ID). */
  readonly environment: Readonly<Record<string, string>>;
  /** Files to write below `home` first: relative path to content. */
  readonly files: Readonly<Record<string, string>>;
  /** What of the run's config this runner cannot enforce, in words; recorded as warnings. */
  readonly warnings: readonly string[];
}

export interface ProtocolRequest {
  readonly runId: string;
  readonly prompt: string;
  readonly config: RunConfig;
  readonly resumeSessionId?: string;
  readonly newSessionId: string;
}

/** The moment of an input, by the supervisor's clocks. */
export interface SpoolTime {
  /** Unix time in milliseconds. */
  readonly wallMs: number;
  /** Monotonic nanoseconds since the supervisor started. */
  readonly monotonicNs: bigint;
}

export interface RunnerProtocol {
  /** Called once, when the process is there: what to write first. */
  start(): ProtocolOutput;
  /** A whole line on standard output, without its line end; bytes, since agents need not write UTF-8. */
  stdout(line: Uint8Array, time: SpoolTime): ProtocolOutput;
  /** A whole line on standard error. */
  stderr(line: Uint8Array, time: SpoolTime): ProtocolOutput;
  /** A line that we wrote has reached the agent's standard input; `id` is that of the AgentWrite. */
  written(id: string, time: SpoolTime): ProtocolOutput;
  /** The process has ended and all of its output was given. */
  exited(exit: AgentExit, time: SpoolTime): FinalOutput;
  /** What to write to interrupt the current turn; undefined if the runner cannot. Pure, changes nothing. */
  interrupt(): string | undefined;
}

/** A line for the agent's standard input. Ids are unique within the process and deterministic. */
export type AgentWrite =
  | { readonly kind: "line"; readonly id: string; readonly text: string }
  /** Closes standard input after everything before it. */
  | { readonly kind: "end"; readonly id: string };

export interface ProtocolOutput {
  readonly events: readonly EventDraft[];
  /** Partial text for those who watch live; never stored. */
  readonly deltas: readonly DeltaDraft[];
  readonly writes: readonly AgentWrite[];
}

export interface FinalOutput extends ProtocolOutput {
  readonly outcome: AgentOutcome;
}

/** A RunEvent without what the log and the ingest add: run_id, sequence, position and the times. */
export interface EventDraft {
  readonly turn: number;
  readonly itemId?: string;
  readonly parentItemId?: string;
  /** Default: EventSource.RUNNER. */
  readonly source?: EventSource;
  readonly event: NonNullable<MessageInitShape<typeof RunEventSchema>["event"]>;
  readonly runnerIds?: Partial<Pick<RunnerIds, "sessionId" | "messageId" | "requestId" | "frameType">>;
  readonly skippable?: boolean;
}

export interface DeltaDraft {
  readonly turn: number;
  readonly itemId: string;
  readonly channel: DeltaChannel;
  readonly text: string;
}

export interface AgentExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why we ended it, if we did. */
  readonly cause: StopCause | null;
}

export type StopCause = "stop" | "timeout" | "inactivity" | "shutdown" | "outputQuota" | "diskFull";

/** How the agent's work ended, by its protocol; exit codes decide nothing on their own. */
export type AgentOutcome =
  | { readonly kind: "finished"; readonly result: string }
  | { readonly kind: "maxTurns" }
  | { readonly kind: "budgetExceeded" }
  | { readonly kind: "rateLimited"; readonly retryTimeMs: number | null; readonly text: string }
  /** Signed out, refused, missing or too old. */
  | { readonly kind: "unavailable"; readonly code: string; readonly text: string }
  | { readonly kind: "failed"; readonly code: string; readonly text: string }
  /** It ended without saying how: killed, crashed or interrupted. */
  | { readonly kind: "interrupted"; readonly text: string };

export const nothing: ProtocolOutput = { events: [], deltas: [], writes: [] };

export type RunEventKind = NonNullable<RunEvent["event"]["case"]>;
