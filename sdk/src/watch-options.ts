import type { AgentManagerError } from "./errors.js";
import type { RunEvent } from "./gen/agent_manager/v1/run_event_pb.js";
import type { EventDelta, EventKind } from "./gen/agent_manager/v1/run_event_service_pb.js";
import type { RunState } from "./gen/agent_manager/v1/run_pb.js";

/** One thing that a watch delivers. */
export type RunFrame =
  | { readonly kind: "event"; readonly event: RunEvent }
  /** Partial text of an item that is being written: live only, not repeated after a reconnect. */
  | { readonly kind: "delta"; readonly delta: EventDelta };

/** What every watch takes. */
export interface WatchOptions {
  /** Ends the iteration, which then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** How often the service says that it is there, in milliseconds, from 1,000. Default: 15,000. */
  readonly heartbeatIntervalMs?: number;
  /** Throws the last error when the service cannot be reached for this long, in milliseconds. Default: 600,000. */
  readonly giveUpAfterMs?: number;
  /** Called before each attempt to take up a lost stream again. */
  readonly onReconnect?: (lost: ReconnectNotice) => void;
}

/** Options of `events()`. */
export interface EventsOptions extends WatchOptions {
  /** The sequence of the last event that the caller has handled. Default: 0, from the first event. */
  readonly after?: bigint | number;
  /** Only these kinds. Default: all. */
  readonly kinds?: readonly EventKind[];
  /**
   * When the iteration ends. "settled": when the agent's work has ended, that is, the run waits for review or has
   * ended for good. "ended": when the run has ended for good; until somebody approves or rejects it, the iteration
   * stays open. Default: "settled".
   */
  readonly until?: "settled" | "ended";
}

/** A place in the log of all runs, which outlives the program that keeps it. */
export interface WatchBookmark {
  /** Identifies the log: a restored or other database has another one. */
  readonly logId: string;
  /** Every event up to this position was delivered or did not match. */
  readonly position: bigint;
}

/** Options of `runs.watch()`. */
export interface WatchEventsOptions extends WatchOptions {
  /**
   * Where to start: after a bookmark, or after the position of the last event that the caller has handled; "now" for
   * what comes from now on. Default: 0, from the first event of all.
   */
  readonly after?: WatchBookmark | bigint | number | "now";
  /** Only these kinds. Default: all. */
  readonly kinds?: readonly EventKind[];
  /**
   * Called with how far the watch has come, when every event up to there has been handled: the loop has asked for the
   * next. Also when nothing matched, with each heartbeat. Keep the last one to go on after a restart.
   */
  readonly onBookmark?: (bookmark: WatchBookmark) => void;
}

/** What `onReconnect` is told. */
export interface ReconnectNotice {
  /** Attempts since the service was last heard of, from 1. */
  readonly attempt: number;
  /** How long the SDK waits before this one, in milliseconds. */
  readonly delayMs: number;
  /** The sequence, or for `runs.watch()` the position, of the last event delivered; the stream is taken up after it. */
  readonly after: bigint;
  readonly error: AgentManagerError;
}

/** A watch on one run's log. */
export interface WatchRunOptions extends EventsOptions {
  readonly runId: string;
  readonly deltas: boolean;
  /** Asks where the run stands now. */
  readonly readState: () => Promise<RunState>;
}
