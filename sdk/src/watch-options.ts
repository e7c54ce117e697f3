import type { AgentManagerError } from "./errors.js";
import type { RunEvent } from "./gen/agent_manager/v1/run_event_pb.js";
import type { EventDelta, EventKind } from "./gen/agent_manager/v1/run_event_service_pb.js";
import type { RunState } from "./gen/agent_manager/v1/run_pb.js";

/** One thing that a watch delivers. */
export type RunFrame =
  | { readonly kind: "event"; readonly event: RunEvent }
  /** Partial text of an item that is being written: live only, not repeated after a reconnect. */
  | { readonly kind: "delta"; readonly delta: EventDelta };

/** Options of `events()`. */
export interface EventsOptions {
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
  /** Ends the iteration, which then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** How often the service says that it is there, in milliseconds, from 1,000. Default: 15,000. */
  readonly heartbeatIntervalMs?: number;
  /** Throws the last error when the service cannot be reached for this long, in milliseconds. Default: 600,000. */
  readonly giveUpAfterMs?: number;
  /** Called before each attempt to take up a lost stream again. */
  readonly onReconnect?: (lost: ReconnectNotice) => void;
}

/** What `onReconnect` is told. */
export interface ReconnectNotice {
  /** Attempts since the service was last heard of, from 1. */
  readonly attempt: number;
  /** How long the SDK waits before this one, in milliseconds. */
  readonly delayMs: number;
  /** The sequence of the last event delivered, after which the stream is taken up. */
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
