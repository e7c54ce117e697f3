import { type ErrorClass, EventSource, type RunOutcome } from "@agent-manager/sdk/proto";
import type { NewEvent } from "../log/event-encoding.js";

/** A failure that ends the run with an outcome of its own instead of as an internal error. */
export class RunFailure extends Error {
  override readonly name = "RunFailure";

  constructor(
    readonly outcome: RunOutcome,
    /** The error event that explains it. */
    readonly event: NewEvent,
    reason: string,
  ) {
    super(reason);
  }
}

export interface FailureDescription {
  readonly class: ErrorClass;
  /** A name for programs, for example "runner_not_installed". */
  readonly code: string;
  readonly text: string;
  /** What to do. */
  readonly recovery: string;
}

export function runFailure(outcome: RunOutcome, value: FailureDescription): RunFailure {
  const event: NewEvent = { occurTimeMs: Date.now(), source: EventSource.MANAGER, event: { case: "error", value } };
  return new RunFailure(outcome, event, value.text);
}
