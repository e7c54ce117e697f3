import {
  type ApplyConflict,
  ApplyConflictKind,
  ChangeSetSummarySchema,
  EventSource,
  ReviewDecision,
  RunState,
} from "@agent-manager/sdk/proto";
import { DomainError } from "../domain/errors.js";
import { decideReview } from "../domain/run-state.js";
import { failpoint } from "../failpoint.js";
import type { NewEvent } from "../log/event-encoding.js";
import { messageFromJson } from "../store/json.js";
import { findRun, type RunWithLog } from "../store/runs.js";
import type { ExecutionContext } from "./execution-context.js";
import { situation } from "./run-changes.js";

export interface Approval {
  readonly runId: string;
  readonly digest: string;
  readonly actor: string;
  readonly comment: string;
}

export interface Approved {
  readonly run: RunWithLog;
  readonly files: readonly string[];
}

/**
 * Applies a run's whole change set to the project and completes the run. Applying is idempotent by digest and
 * comes first, so a crash between the two is mended by approving again; of many approvals at once each applies
 * the same once, one completes the run and the others find it completed.
 */
export async function approveRun(approval: Approval, context: ExecutionContext): Promise<Approved> {
  const { runId, digest, actor, comment } = approval;
  const run = await requireRun(runId, context);
  checkReviewable(run, digest);
  const sandbox = await context.sandboxesIn(run.data_dir).open(runId);
  if (!sandbox) throw new DomainError("SANDBOX_GONE", { run_id: runId });
  const result = await context.reviewer.apply({ sandbox, digest, signal: context.signal });
  if (result.kind === "stale") throw staleDigest(runId, digest, result.digest);
  if (result.kind === "conflict") {
    await recordConflict(run, digest, result.conflicts, context);
    throw applyConflict(runId, result.conflicts);
  }
  const files = [...result.files];
  failpoint("review.applied");
  const completed = await context.changes.change(runId, (current) => {
    if (current.state === RunState.COMPLETED) return undefined; // another approval of the same digest was first
    return {
      transition: decideReview(situation(current), "approved", comment),
      actor,
      events: [
        reviewEvent({ decision: ReviewDecision.APPROVED, digest, actor, comment }),
        event(EventSource.MANAGER, { case: "apply", value: { digest, files } }),
      ],
    };
  });
  return { run: completed ?? run, files };
}

/** Discards a run's change set; rejecting a rejected run changes nothing. */
export async function rejectRun(rejection: Omit<Approval, "digest">, context: ExecutionContext): Promise<RunWithLog> {
  const { runId, actor, comment } = rejection;
  const run = await context.changes.change(runId, (current) => {
    if (current.state === RunState.REJECTED) return undefined;
    const digest = latestDigest(current);
    return {
      transition: decideReview(situation(current), "rejected", comment),
      actor,
      events: [reviewEvent({ decision: ReviewDecision.REJECTED, digest, actor, comment })],
    };
  });
  if (!run) throw new DomainError("RUN_NOT_FOUND", { run_id: runId });
  return run;
}

/** The digest of the run's latest change set; empty if it has none. */
export function latestDigest(run: RunWithLog): string {
  return run.change_set === null ? "" : messageFromJson(ChangeSetSummarySchema, run.change_set).digest;
}

async function requireRun(runId: string, { db }: ExecutionContext): Promise<RunWithLog> {
  const run = await findRun(db, runId);
  if (!run) throw new DomainError("RUN_NOT_FOUND", { run_id: runId });
  return run;
}

function checkReviewable(run: RunWithLog, digest: string): void {
  const reviewable = run.state === RunState.NEEDS_REVIEW || run.state === RunState.COMPLETED;
  if (!reviewable || run.change_set === null) {
    throw new DomainError("RUN_NOT_REVIEWABLE", { run_id: run.run_id, state: RunState[run.state] ?? "" });
  }
  if (latestDigest(run) !== digest) throw staleDigest(run.run_id, digest, latestDigest(run));
}

function staleDigest(runId: string, digest: string, latest: string): DomainError {
  return new DomainError("CHANGE_SET_STALE", { run_id: runId, digest, latest_digest: latest });
}

type Conflict = Omit<ApplyConflict, "$typeName">;

async function recordConflict(
  run: RunWithLog,
  digest: string,
  conflicts: readonly Conflict[],
  { changes }: ExecutionContext,
) {
  const value = { digest, files: [], conflicts: [...conflicts] };
  await changes.change(run.run_id, (current) =>
    current.state === RunState.NEEDS_REVIEW
      ? { events: [event(EventSource.MANAGER, { case: "apply", value })] }
      : undefined,
  );
}

function applyConflict(runId: string, conflicts: readonly Conflict[]): DomainError {
  const files = conflicts.map(({ path }) => path).join(", ");
  const preconditions = conflicts.map(({ path, kind, detail }) => ({
    type: ApplyConflictKind[kind] ?? "",
    subject: path,
    description: detail,
  }));
  return new DomainError("APPLY_CONFLICT", { run_id: runId, files }, { preconditions });
}

function reviewEvent(value: { decision: ReviewDecision; digest: string; actor: string; comment: string }): NewEvent {
  return event(EventSource.HUMAN, { case: "review", value });
}

function event(source: EventSource, content: NewEvent["event"]): NewEvent {
  return { occurTimeMs: Date.now(), source, event: content };
}
