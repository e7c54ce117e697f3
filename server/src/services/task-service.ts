import {
  type CreateTaskRequest,
  TaskSchema,
  TaskService,
  TaskState,
  type UpdateTaskRequest,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { DomainError, invalidRequest } from "../domain/errors.js";
import { checkEtag } from "../domain/etag.js";
import { answerOnce } from "../store/requests.js";
import type { Db, Tx } from "../store/schema.js";
import { deleteTask, findTask, listTasks, setTaskState, updateTask } from "../store/tasks.js";
import { applyFieldMask } from "./field-mask.js";
import { requireId } from "./required-id.js";
import { checkTaskContent } from "./task-content.js";
import { createTaskFromRequest } from "./task-creation.js";

const METHODS = TaskService.method;
const MUTABLE = ["title", "prompt", "scope_paths", "context", "labels"];

export interface TaskServiceOptions {
  readonly db: Db;
  /** Folders that hold every project that is served. Empty: any. */
  readonly projectRoots: readonly string[];
  /** Asks the queued and active runs of a task to stop. Called again when a cancel is repeated. */
  readonly stopRunsOfTask: (taskId: string, comment: string, principalName: string) => Promise<void>;
  /** The name of the caller, for the runs' logs. */
  readonly principalName: (context: HandlerContext) => string;
}

export function createTaskService(options: TaskServiceOptions): ServiceImpl<typeof TaskService> {
  const { db, projectRoots } = options;
  return {
    async createTask(request) {
      return answerOnce({
        db,
        method: METHODS.createTask,
        request,
        run: (tx) => createTask(tx, request, projectRoots),
      });
    },

    async getTask({ taskId }) {
      return { task: (await findTask(db, requireId("task_id", taskId))) ?? notFound(taskId) };
    },

    async listTasks(request) {
      const { items, nextPageToken } = await listTasks(db, request);
      return { tasks: [...items], nextPageToken };
    },

    async updateTask(request) {
      return answerOnce({ db, method: METHODS.updateTask, request, run: (tx) => changeTask(tx, request) });
    },

    async cancelTask({ taskId, comment }, context) {
      const cancelled = await setTaskState(db, requireId("task_id", taskId), TaskState.CANCELLED);
      const task = cancelled ?? (await findTask(db, taskId)) ?? notFound(taskId);
      // also when it was cancelled before: the server may have died before it got here
      await options.stopRunsOfTask(taskId, comment, options.principalName(context));
      return { task };
    },

    async deleteTask({ taskId, etag, allowMissing }) {
      for (;;) {
        const stored = await findTask(db, requireId("task_id", taskId));
        if (stored === undefined) {
          return allowMissing ? {} : notFound(taskId);
        }
        checkEtag({ kind: "task", id: taskId, given: etag, stored: stored.etag });
        const outcome = await deleteTask(db, stored);
        if (outcome === "has runs") {
          throw new DomainError("TASK_HAS_RUNS", { task_id: taskId });
        }
        if (outcome === "deleted") {
          return {};
        }
      }
    },
  };
}

async function createTask(tx: Tx, { task }: CreateTaskRequest, projectRoots: readonly string[]) {
  if (task === undefined) {
    throw invalidRequest({ field: "task", description: "must be set" });
  }
  const created = await createTaskFromRequest(tx, task, { fieldPrefix: "task", projectRoots });
  return create(METHODS.createTask.output, { task: created });
}

async function changeTask(tx: Tx, { task: given, updateMask: mask }: UpdateTaskRequest) {
  const taskId = requireId("task.task_id", given?.taskId ?? "");
  for (;;) {
    const stored = (await findTask(tx, taskId)) ?? notFound(taskId);
    checkEtag({ kind: "task", id: taskId, given: given?.etag ?? "", stored: stored.etag });
    const wanted = applyFieldMask({ schema: TaskSchema, stored, given: given ?? stored, mask, mutable: MUTABLE });
    const task = await updateTask(tx, { taskId, etag: stored.etag, content: checkTaskContent(wanted, "task") });
    if (task !== undefined) {
      return create(METHODS.updateTask.output, { task });
    }
    // someone else's edit came in between: decide again on what it is now
  }
}

function notFound(taskId: string): never {
  throw new DomainError("TASK_NOT_FOUND", { task_id: taskId });
}
