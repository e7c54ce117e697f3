import { RunState } from "./gen/agent_manager/v1/run_pb.js";

/** Says whether a run in this state has ended for good. */
export function isTerminal(state: RunState): boolean {
  return (
    state === RunState.COMPLETED ||
    state === RunState.REJECTED ||
    state === RunState.FAILED ||
    state === RunState.CANCELLED
  );
}

/** Says whether the agent's work has ended: the run waits for review, or has ended for good. */
export function isSettled(state: RunState): boolean {
  return state === RunState.NEEDS_REVIEW || isTerminal(state);
}
