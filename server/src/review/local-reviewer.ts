import { DomainError } from "../domain/errors.js";
import { type ApplyContext, applyChangeSet, recoverApply } from "./apply.js";
import { captureBase, readBase } from "./base.js";
import { describeSnapshot } from "./change-set.js";
import { KeyedQueue } from "./keyed-queue.js";
import type { Failpoint } from "./project-writer.js";
import { reviewFolder } from "./review-folder.js";
import type { Reviewer } from "./reviewer.js";
import { takeSnapshot } from "./snapshot.js";

export interface ReviewerOptions {
  readonly log?: { warn(values: object, text: string): void };
  /** For tests: called at every point of an apply where a crash could cut it off. */
  readonly failpoint?: (name: Failpoint) => void | Promise<void>;
}

/** The one core of review, over every provider whose workspace can be read. */
export function createReviewer(options: ReviewerOptions = {}): Reviewer {
  // Calls for one sandbox share its index and scratch files; they wait for each other.
  const sandboxes = new KeyedQueue();
  const context: ApplyContext = { ...options, projects: new KeyedQueue() };
  return {
    captureBase: (sandbox, signal) => sandboxes.run(sandbox.reviewDir, () => captureBase(sandbox, signal)),

    computeChangeSet: (sandbox, signal) =>
      sandboxes.run(sandbox.reviewDir, async () => {
        const review = reviewFolder(sandbox.reviewDir);
        const base = await readBase(review);
        if (base === undefined) throw new DomainError("CHANGE_SET_NOT_READY", { run_id: sandbox.sandboxId });
        const snapshot = await takeSnapshot({ sandbox, review, base, ...(signal === undefined ? {} : { signal }) });
        return describeSnapshot(review.git, sandbox.sandboxId, snapshot);
      }),

    apply: (request) => sandboxes.run(request.sandbox.reviewDir, () => applyChangeSet(request, context)),

    recover: (sandbox) =>
      sandboxes.run(sandbox.reviewDir, () => recoverApply(reviewFolder(sandbox.reviewDir), context)),
  };
}
