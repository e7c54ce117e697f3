import { RunOutcome, RunState, TaskState } from "@agent-manager/sdk/proto";
import { DomainError } from "./errors.js";

/** What a transition changes of a run. Whoever stores it guards it by the run's version. */
export interface Transition {
  readonly from: RunState;
  readonly to: RunState;
  readonly reason: string;
  readonly outcome?: RunOutcome;
}

/** A run as far as decisions need it. */
export interface RunSituation {
  readonly runId: string;
  readonly state: RunState;
  readonly outcome: RunOutcome;
}

const terminal: ReadonlySet<RunState> = new Set([
  RunState.COMPLETED,
  RunState.REJECTED,
  RunState.FAILED,
  RunState.CANCELLED,
]);

export function isTerminal(state: RunState): boolean {
  return terminal.has(state);
}

/** True while the run's agent may be at work, so that someone must look after it. */
export function isActive(state: RunState): boolean {
  return state === RunState.STARTING || state === RunState.RUNNING || state === RunState.AWAITING_INPUT;
}

/** True while a request to stop the run means something. */
export function isStoppable(state: RunState): boolean {
  return state === RunState.QUEUED || isActive(state);
}

export type StopDecision =
  | { readonly kind: "transition"; readonly transition: Transition }
  /** The agent is asked to end; the run moves on when it has. */
  | { readonly kind: "signalAgent" };

/** What a request to stop does. Asking an active run twice is the same as asking once. */
export function decideStop(run: RunSituation, reason: string): StopDecision {
  if (run.state === RunState.QUEUED) {
    const outcome = RunOutcome.STOPPED;
    return { kind: "transition", transition: { from: run.state, to: RunState.CANCELLED, reason, outcome } };
  }
  if (isActive(run.state)) return { kind: "signalAgent" };
  throw new DomainError("RUN_NOT_STOPPABLE", { run_id: run.runId, state: RunState[run.state] });
}

/**
 * Where a run goes when its agent has ended. Changes are never thrown away unseen: whatever the outcome, a run
 * that left some waits for a decision about them.
 */
export function decideEnd(run: RunSituation, outcome: RunOutcome, changedFiles: number, reason: string): Transition {
  if (!isActive(run.state)) throw new DomainError("RUN_CHANGED", { run_id: run.runId, state: RunState[run.state] });
  if (changedFiles > 0) return { from: run.state, to: RunState.NEEDS_REVIEW, reason, outcome };
  const unchanged = outcome === RunOutcome.SUCCEEDED ? RunOutcome.NO_CHANGES : outcome;
  return { from: run.state, to: endState(unchanged), reason, outcome: unchanged };
}

/** Where a decision about the change set takes the run; the outcome stays what the agent made it. */
export function decideReview(run: RunSituation, decision: "approved" | "rejected", reason: string): Transition {
  if (run.state !== RunState.NEEDS_REVIEW) {
    throw new DomainError("RUN_NOT_REVIEWABLE", { run_id: run.runId, state: RunState[run.state] });
  }
  const to = decision === "approved" ? RunState.COMPLETED : RunState.REJECTED;
  return { from: run.state, to, reason, outcome: run.outcome };
}

/** Where a task follows its latest run. */
export function taskStateAfter(state: RunState): TaskState {
  switch (state) {
    case RunState.UNSPECIFIED:
    case RunState.QUEUED:
    case RunState.STARTING:
    case RunState.RUNNING:
    case RunState.AWAITING_INPUT:
      return TaskState.ACTIVE;
    case RunState.NEEDS_REVIEW:
      return TaskState.NEEDS_REVIEW;
    case RunState.COMPLETED:
      return TaskState.DONE;
    case RunState.REJECTED:
    case RunState.FAILED:
    case RunState.CANCELLED:
      return TaskState.FAILED;
    default:
      return state satisfies never;
  }
}

function endState(outcome: RunOutcome): RunState {
  switch (outcome) {
    case RunOutcome.SUCCEEDED:
    case RunOutcome.NO_CHANGES:
      return RunState.COMPLETED;
    case RunOutcome.STOPPED:
      return RunState.CANCELLED;
    case RunOutcome.UNSPECIFIED:
    case RunOutcome.TIMED_OUT:
    case RunOutcome.MAX_TURNS:
    case RunOutcome.RATE_LIMITED:
    case RunOutcome.BUDGET_EXCEEDED:
    case RunOutcome.POLICY_VIOLATION:
    case RunOutcome.RUNNER_UNAVAILABLE:
    case RunOutcome.RUNNER_ERROR:
    case RunOutcome.SANDBOX_FAILED:
    case RunOutcome.LOST:
    case RunOutcome.RESOURCE_EXHAUSTED:
      return RunState.FAILED;
    default:
      return outcome satisfies never;
  }
}
