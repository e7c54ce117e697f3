import { randomUUID } from "node:crypto";
import { realpath } from "node:fs/promises";
import { ApplyConflictKind } from "@agent-manager/sdk/proto";
import { DomainError } from "../domain/errors.js";
import { describeConflict, planApply } from "./apply-plan.js";
import { readBase } from "./base.js";
import { toText } from "./byte-path.js";
import { errorCode } from "./folder.js";
import {
  type Applied,
  dropJournal,
  inverted,
  type Journal,
  readApplied,
  readJournal,
  writeApplied,
  writeJournal,
} from "./journal.js";
import type { KeyedQueue } from "./keyed-queue.js";
import { type Failpoint, type WriteResult, writeProject } from "./project-writer.js";
import { type ReviewFolder, reviewFolder } from "./review-folder.js";
import type { ApplyRequest, ApplyResult } from "./reviewer.js";
import { takeSnapshot } from "./snapshot.js";
import { removeTemporaryFiles } from "./staging.js";

export interface ApplyContext {
  /** One apply per project at a time, keyed by the project's real path. */
  readonly projects: KeyedQueue;
  readonly log?: { warn(values: object, text: string): void };
  readonly failpoint?: (name: Failpoint) => void | Promise<void>;
}

export async function applyChangeSet(request: ApplyRequest, context: ApplyContext): Promise<ApplyResult> {
  if (request.selection !== undefined) throw new DomainError("NOT_IMPLEMENTED", { method: "approving a selection" });
  const root = await projectPath(request.sandbox.projectRoot);
  return context.projects.run(root, () => applyTo(root, request, context));
}

/** Finishes what a crash cut off, or undoes it if somebody has edited a path that was still to be written. */
export async function recoverApply(review: ReviewFolder, context: ApplyContext): Promise<void> {
  const journal = await readJournal(review);
  if (journal === undefined) return;
  await projectPath(journal.projectRoot);
  await context.projects.run(journal.projectRoot, () => resume(review, context));
}

async function applyTo(root: string, request: ApplyRequest, context: ApplyContext): Promise<ApplyResult> {
  const { sandbox, signal } = request;
  const review = reviewFolder(sandbox.reviewDir);
  await resume(review, context);
  const applied = await readApplied(review);
  if (applied?.digest === request.digest) return { kind: "applied", files: applied.files };
  const base = await readBase(review);
  if (base === undefined) throw new DomainError("CHANGE_SET_NOT_READY", { run_id: sandbox.sandboxId });
  const withSignal = signal === undefined ? {} : { signal };
  const snapshot = await takeSnapshot({ sandbox, review, base, ...withSignal });
  if (snapshot.digest !== request.digest) return { kind: "stale", digest: snapshot.digest };
  const plan = await planApply({ review, root, changes: snapshot.changes, ...withSignal });
  if (plan.kind === "conflict") return plan;
  signal?.throwIfAborted(); // the last moment: from here on the apply is finished or undone
  const files = snapshot.changes.map(({ path }) => toText(path));
  const journalId = randomUUID().slice(0, 8);
  return carryOut(
    review,
    { version: 1, journalId, digest: request.digest, projectRoot: root, entries: plan.entries, files },
    context,
  );
}

async function carryOut(review: ReviewFolder, journal: Journal, context: ApplyContext): Promise<ApplyResult> {
  await writeJournal(review, journal);
  await context.failpoint?.("journaled");
  const result = await rollForward(review, journal, context);
  if (result.kind === "stopped") {
    await rollBack(review, journal, context);
    return { kind: "conflict", conflicts: [describeConflict(result.path, ApplyConflictKind.UNSPECIFIED)] };
  }
  await record(review, journal, context);
  return { kind: "applied", files: journal.files };
}

async function resume(review: ReviewFolder, context: ApplyContext): Promise<void> {
  const journal = await readJournal(review);
  if (journal === undefined) return;
  await removeTemporaryFiles({ ...journal, root: journal.projectRoot });
  const result = await rollForward(review, journal, context);
  if (result.kind === "written") await record(review, journal, context);
  else await rollBack(review, journal, context);
}

/** A failure on the way (disk full, forbidden folder) undoes what was written and is thrown on. */
async function rollForward(review: ReviewFolder, journal: Journal, context: ApplyContext): Promise<WriteResult> {
  try {
    return await writeProject(writing(review, journal, { context, others: "stop" }));
  } catch (error) {
    await rollBack(review, journal, context).catch((again: unknown) => {
      // The journal stays: the next apply or the next start tries again.
      context.log?.warn(
        { err: again, digest: journal.digest, project: journal.projectRoot },
        "apply could not be undone",
      );
    });
    throw asDomainError(error);
  }
}

async function rollBack(review: ReviewFolder, journal: Journal, context: ApplyContext): Promise<void> {
  const back = { ...journal, entries: inverted(journal.entries) };
  await removeTemporaryFiles({ ...journal, root: journal.projectRoot });
  await writeProject(writing(review, back, { context, others: "keep" }));
  await removeTemporaryFiles({ ...journal, root: journal.projectRoot });
  await dropJournal(review);
  context.log?.warn({ digest: journal.digest, project: journal.projectRoot }, "apply undone");
}

async function record(review: ReviewFolder, journal: Journal, context: ApplyContext): Promise<void> {
  const applied: Applied = { digest: journal.digest, files: journal.files };
  await writeApplied(review, applied);
  await context.failpoint?.("recorded");
  await dropJournal(review);
}

interface Writing {
  readonly context: ApplyContext;
  readonly others: "stop" | "keep";
}

function writing(
  review: ReviewFolder,
  journal: Journal,
  { context, others }: Writing,
): Parameters<typeof writeProject>[0] {
  const { journalId, entries, projectRoot } = journal;
  const failpoint = context.failpoint === undefined ? {} : { failpoint: context.failpoint };
  return { git: review.git, root: projectRoot, journalId, entries, others, ...failpoint };
}

async function projectPath(projectRoot: string): Promise<string> {
  return realpath(projectRoot).catch((cause: unknown) => {
    throw new DomainError(
      "PROJECT_NOT_FOUND",
      { project_root: projectRoot, problem: errorCode(cause) ?? "" },
      { cause },
    );
  });
}

function asDomainError(error: unknown): unknown {
  const code = errorCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") return new DomainError("DISK_FULL", {}, { cause: error });
  if (code === undefined) return error;
  const problem = error instanceof Error ? error.message : code;
  return new DomainError("SANDBOX_FAILED", { operation: "apply the change set", problem }, { cause: error });
}
