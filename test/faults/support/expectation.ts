import { RunOutcome, RunState } from "@agent-manager/sdk/proto";

/** How a run is to have ended. */
export interface Expectation {
  /** Any of these. */
  readonly outcomes: readonly RunOutcome[];
  readonly state: RunState;
  /**
   * "all": each line of the agent is an event. "prefix": lines that were on their way, or that the agent noted and
   * could not print, may be missing at the end. "unjudged": the test compares by itself.
   */
  readonly lines: "all" | "prefix" | "unjudged";
  /** The agent's exit code; undefined if it need not be known. */
  readonly exitCode?: number;
}

/** The agent did what it was asked, once, and changed nothing. */
export const complete: Expectation = {
  outcomes: [RunOutcome.NO_CHANGES],
  state: RunState.COMPLETED,
  lines: "all",
  exitCode: 0,
};

/** The agent did what it was asked and its changes wait for a decision. */
export const reviewable: Expectation = { ...complete, outcomes: [RunOutcome.SUCCEEDED], state: RunState.NEEDS_REVIEW };

/** The same, and they were approved. */
export const approved: Expectation = { ...reviewable, state: RunState.COMPLETED };

/** The supervisor was killed. */
export const lost: Expectation = { outcomes: [RunOutcome.LOST], state: RunState.FAILED, lines: "prefix" };

export function ended(outcome: RunOutcome, state: RunState, lines: Expectation["lines"]): Expectation {
  return { outcomes: [outcome], state, lines };
}
