import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Call, type CallOptions, expectField, requestIdOf, type WriteOptions } from "./call.js";
import type { Clients } from "./clients.js";
import type { ContextAttachmentSchema, Task, TaskState } from "./gen/agent_manager/v1/task_pb.js";
import { maskOf } from "./names.js";
import { eachItem } from "./pages.js";
import type { DeleteOptions, EditOptions, ListOptions } from "./profiles.js";

/** What can be changed of a task. */
export interface TaskChanges {
  /** A line for people. Default: the first line of the prompt. */
  readonly title?: string;
  /** What the agent is asked to do. */
  readonly prompt?: string;
  /** The parts of the project that the task is about, relative to its root. Default: all of it. */
  readonly scopePaths?: string[];
  /** Material for the agent: files, links, notes. */
  readonly context?: MessageInitShape<typeof ContextAttachmentSchema>[];
  /** For selecting, for example `{ issue: "42" }`. */
  readonly labels?: { [key: string]: string };
}

/** A task to create. */
export interface TaskInit extends TaskChanges {
  readonly prompt: string;
  /** The absolute path of the project's folder on the service's machine. */
  readonly projectRoot: string;
}

/** Which tasks to list; all that is set must hold. */
export interface TaskFilter {
  /** Only tasks that have all of these labels. */
  readonly labels?: { [key: string]: string };
  readonly projectRoot?: string;
  /** Only tasks in one of these states. Default: any. */
  readonly states?: TaskState[];
}

/** The things to be done. */
export class Tasks {
  readonly #clients: Clients;
  readonly #call: Call;

  constructor(clients: Clients, call: Call) {
    this.#clients = clients;
    this.#call = call;
  }

  /** Creates a task. Throws `FailedPreconditionError` (PROJECT_NOT_FOUND) if `projectRoot` is no folder. */
  async create(task: TaskInit, options?: WriteOptions): Promise<Task> {
    const request = { task, requestId: requestIdOf(options) };
    const answer = await this.#call((rpc) => this.#clients.tasks.createTask(request, rpc), options);
    return expectField(answer.task, "task");
  }

  /** Returns a task. Throws `NotFoundError` (TASK_NOT_FOUND). */
  async get(taskId: string, options?: CallOptions): Promise<Task> {
    const answer = await this.#call((rpc) => this.#clients.tasks.getTask({ taskId }, rpc), options);
    return expectField(answer.task, "task");
  }

  /** Yields tasks, newest first. */
  list(filter: TaskFilter = {}, options: ListOptions = {}): AsyncIterable<Task> {
    return eachItem(async (pageToken) => {
      const request = { ...filter, pageToken, pageSize: options.pageSize ?? 0 };
      const page = await this.#call((rpc) => this.#clients.tasks.listTasks(request, rpc), options);
      return { items: page.tasks, nextPageToken: page.nextPageToken };
    });
  }

  /** Changes the given fields, all in one step; runs that exist keep what they were started with. */
  async update(taskId: string, changes: TaskChanges, options?: EditOptions): Promise<Task> {
    const request = {
      task: { ...changes, taskId, etag: options?.etag ?? "" },
      updateMask: maskOf(changes, options?.updateMask),
      requestId: requestIdOf(options),
    };
    const answer = await this.#call((rpc) => this.#clients.tasks.updateTask(request, rpc), options);
    return expectField(answer.task, "task");
  }

  /** Cancels a task: it takes no more runs, and its active runs are asked to stop. Doing it twice is doing it once. */
  async cancel(taskId: string, options?: CallOptions & { readonly comment?: string }): Promise<Task> {
    const request = { taskId, comment: options?.comment ?? "" };
    const answer = await this.#call((rpc) => this.#clients.tasks.cancelTask(request, rpc), options);
    return expectField(answer.task, "task");
  }

  /** Deletes a task. Throws `FailedPreconditionError` (TASK_HAS_RUNS) if it has runs. */
  async delete(taskId: string, options?: DeleteOptions): Promise<void> {
    await this.#call(
      (rpc, attempt) =>
        this.#clients.tasks.deleteTask(
          // A repeated attempt may find that the first one, whose answer was lost, has done it.
          { taskId, etag: options?.etag ?? "", allowMissing: options?.allowMissing === true || attempt > 1 },
          rpc,
        ),
      options,
    );
  }
}
