import {
  ApproveRunResponseSchema,
  BatchGetRunsResponseSchema,
  type ChangeSet,
  CreateRunResponseSchema,
  GetChangeSetResponseSchema,
  GetRunResponseSchema,
  ListRunsResponseSchema,
  RejectRunResponseSchema,
  type RunSelector,
  RunSelectorSchema,
  RunService,
  StopRunResponseSchema,
  StopRunsResponseSchema,
} from "@agent-manager/sdk/proto";
import { create, equals } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { DomainError, invalidRequest } from "../domain/errors.js";
import { isStoppable } from "../domain/run-state.js";
import type { ExecutionContext } from "../execution/execution-context.js";
import type { Executor } from "../execution/executor.js";
import { approveRun, latestDigest, rejectRun } from "../execution/run-review.js";
import { stopIfStoppable, stopRun } from "../execution/run-stop.js";
import { findChangeSet } from "../store/change-sets.js";
import { openPage } from "../store/pages.js";
import { answerOnce, answerRepeatable } from "../store/requests.js";
import { findRun, findRuns, type RunWithLog, runMessage, selectRuns, whereSelected } from "../store/runs.js";
import { actorOf } from "./actor.js";
import { createRun } from "./run-creation.js";
import { watchRun } from "./run-watch.js";

export interface RunServiceOptions extends ExecutionContext {
  readonly executor: Executor;
  /** Folders that projects may lie in; empty for any. */
  readonly projectRoots: readonly string[];
}

export function createRunService(options: RunServiceOptions): Partial<ServiceImpl<typeof RunService>> {
  const { db, executor, changes } = options;
  const { method } = RunService;
  return {
    async createRun(request) {
      const response = await answerOnce({
        db,
        method: method.createRun,
        request,
        run: async (tx) => {
          const runId = await createRun(tx, request, options);
          const run = await findRun(tx, runId);
          return create(CreateRunResponseSchema, { ...(run && { run: runMessage(run) }) });
        },
      });
      executor.poke();
      return response;
    },

    async getRun({ runId }) {
      return create(GetRunResponseSchema, { run: runMessage(await requireRun(options, runId)) });
    },

    async batchGetRuns({ runIds }) {
      const rows = new Map((await findRuns(db, runIds)).map((row) => [row.run_id, row]));
      const runs = runIds.map((runId) => {
        const row = rows.get(runId);
        if (!row) throw new DomainError("RUN_NOT_FOUND", { run_id: runId });
        return runMessage(row);
      });
      return create(BatchGetRunsResponseSchema, { runs });
    },

    async listRuns({ pageSize, pageToken, selector }) {
      const page = openPage({ list: "run", filters: selectorFilters(selector), pageSize, pageToken });
      const rows = await whereSelected(selectRuns(db), selector)
        .$if(page.before !== undefined, (query) => query.where("run.run_id", "<", page.before ?? ""))
        .orderBy("run.run_id", "desc")
        .limit(page.limit)
        .execute();
      const { items, nextPageToken } = page.pageOf(rows, ({ run_id }) => run_id);
      return create(ListRunsResponseSchema, { runs: items.map(runMessage), nextPageToken });
    },

    async stopRun({ runId, comment }, context) {
      const run = await stopRun({ runId, comment, actor: actorOf(context) }, { changes, executor });
      return create(StopRunResponseSchema, { run: runMessage(run) });
    },

    async stopRuns({ selector, comment }, context) {
      const runIds = await findStoppable(options, selector);
      for (const runId of runIds) await stopIfStoppable({ runId, comment, actor: actorOf(context) }, options);
      return create(StopRunsResponseSchema, { runIds });
    },

    async getChangeSet({ runId, filesOnly }) {
      const run = await requireRun(options, runId);
      const changeSet = await findChangeSet(db, runId, latestDigest(run));
      if (!changeSet) throw new DomainError("CHANGE_SET_NOT_READY", { run_id: runId });
      return create(GetChangeSetResponseSchema, { changeSet: filesOnly ? withoutText(changeSet) : changeSet });
    },

    approveRun(request, context) {
      if (request.selection) throw new DomainError("NOT_IMPLEMENTED", { method: "ApproveRun with a selection" });
      const run = async () => {
        const approved = await approveRun({ ...request, actor: actorOf(context) }, options);
        return create(ApproveRunResponseSchema, { run: runMessage(approved.run), appliedFiles: [...approved.files] });
      };
      return answerRepeatable({ db, method: method.approveRun, request, run });
    },

    rejectRun(request, context) {
      if (request.selection) throw new DomainError("NOT_IMPLEMENTED", { method: "RejectRun with a selection" });
      const run = async () => {
        const rejected = await rejectRun({ ...request, actor: actorOf(context) }, options);
        return create(RejectRunResponseSchema, { run: runMessage(rejected) });
      };
      return answerRepeatable({ db, method: method.rejectRun, request, run });
    },

    watchRun({ runId }, { signal }) {
      return watchRun(runId, { ...options, signal });
    },
  };
}

async function requireRun({ db }: RunServiceOptions, runId: string): Promise<RunWithLog> {
  const run = await findRun(db, runId);
  if (!run) throw new DomainError("RUN_NOT_FOUND", { run_id: runId });
  return run;
}

async function findStoppable({ db }: RunServiceOptions, selector: RunSelector | undefined): Promise<string[]> {
  if (!selector || equals(RunSelectorSchema, selector, create(RunSelectorSchema))) {
    throw invalidRequest({ field: "selector", description: "is empty and would stop every run; name what to stop" });
  }
  const rows = await whereSelected(selectRuns(db), selector).execute();
  return rows.filter(({ state }) => isStoppable(state)).map(({ run_id }) => run_id);
}

function withoutText(changeSet: ChangeSet): ChangeSet {
  const files = changeSet.files.map((file) => ({ ...file, hunks: [] }));
  return { ...changeSet, files, unifiedDiff: new Uint8Array() };
}

function selectorFilters(selector: RunSelector | undefined): unknown {
  if (!selector) return null;
  const { $typeName: _, $unknown: __, ...filters } = selector;
  return filters;
}
