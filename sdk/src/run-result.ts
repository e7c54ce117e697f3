import { type Run, RunOutcome, RunState } from "./gen/agent_manager/v1/run_pb.js";

/** What was decided about a run's changes: nothing yet, or there was nothing to decide. */
export type ReviewStatus = "pending" | "approved" | "rejected" | "none";

interface RunResultBase {
  /** The run when its agent's work had ended. */
  readonly run: Run;
  /** "pending": changes wait for `approve` or `reject`, also of a run that was cut short. */
  readonly review: ReviewStatus;
  /** How it came to that, for people; may be empty. */
  readonly reason: string;
}

/** How an agent's work ended. */
export type RunResult = RunResultBase &
  (
    | { readonly kind: "succeeded" }
    | { readonly kind: "noChanges" }
    | { readonly kind: "timedOut" }
    | { readonly kind: "maxTurns" }
    /** `retryAt`: when the provider lifts the limit, if it said so. */
    | { readonly kind: "rateLimited"; readonly retryAt: Date | undefined }
    | { readonly kind: "budgetExceeded" }
    | { readonly kind: "policyViolation" }
    /** The runner's program is missing, too old or signed out. */
    | { readonly kind: "runnerUnavailable" }
    | { readonly kind: "runnerError" }
    | { readonly kind: "sandboxFailed" }
    | { readonly kind: "stopped" }
    /** The machine or the run's supervisor went away. */
    | { readonly kind: "lost" }
    /** A quota of output, or the disk, ran out. */
    | { readonly kind: "resourceExhausted" }
    /** An outcome that this SDK does not know; see `run.outcome`. */
    | { readonly kind: "other" }
  );

/** Every kind of `RunResult`. */
export type RunResultKind = RunResult["kind"];

/** Reads the result off a run whose agent's work has ended. */
export function resultOf(run: Run): RunResult {
  const base = { run, review: reviewOf(run), reason: run.stateReason };
  const kind = kindOf(run);
  return kind === "rateLimited" ? { ...base, kind, retryAt: retryAt(run) } : { ...base, kind };
}

function kindOf(run: Run): RunResultKind {
  switch (run.outcome) {
    case RunOutcome.SUCCEEDED:
      return "succeeded";
    case RunOutcome.NO_CHANGES:
      return "noChanges";
    case RunOutcome.TIMED_OUT:
      return "timedOut";
    case RunOutcome.MAX_TURNS:
      return "maxTurns";
    case RunOutcome.RATE_LIMITED:
      return "rateLimited";
    case RunOutcome.BUDGET_EXCEEDED:
      return "budgetExceeded";
    case RunOutcome.POLICY_VIOLATION:
      return "policyViolation";
    case RunOutcome.RUNNER_UNAVAILABLE:
      return "runnerUnavailable";
    case RunOutcome.RUNNER_ERROR:
      return "runnerError";
    case RunOutcome.SANDBOX_FAILED:
      return "sandboxFailed";
    case RunOutcome.STOPPED:
      return "stopped";
    case RunOutcome.LOST:
      return "lost";
    case RunOutcome.RESOURCE_EXHAUSTED:
      return "resourceExhausted";
    default:
      return run.state === RunState.CANCELLED ? "stopped" : "other";
  }
}

function reviewOf(run: Run): ReviewStatus {
  switch (run.state) {
    case RunState.NEEDS_REVIEW:
      return "pending";
    case RunState.REJECTED:
      return "rejected";
    case RunState.COMPLETED:
      return run.outcome === RunOutcome.NO_CHANGES ? "none" : "approved";
    default:
      return "none";
  }
}

function retryAt(run: Run): Date | undefined {
  return run.retryTime === undefined ? undefined : new Date(Number(run.retryTime.seconds) * 1000);
}
