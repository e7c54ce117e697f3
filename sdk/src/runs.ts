import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Call, type CallOptions, expectField, requestIdOf, type WriteOptions } from "./call.js";
import type { Clients } from "./clients.js";
import type { RunEvent } from "./gen/agent_manager/v1/run_event_pb.js";
import type { Run, RunSelectorSchema } from "./gen/agent_manager/v1/run_pb.js";
import { isUuid } from "./names.js";
import { eachItem } from "./pages.js";
import type { ListOptions, RunConfigInit } from "./profiles.js";
import { RunHandle } from "./run-handle.js";
import type { TaskInit } from "./tasks.js";
import { watchEvents } from "./watch-events.js";
import type { WatchEventsOptions } from "./watch-options.js";

/** Which runs are meant; all that is set must hold, and nothing set means every run. */
export type RunSelectorInit = MessageInitShape<typeof RunSelectorSchema>;

/** A run to start. */
export type RunInit = RunWork & {
  /** A profile by id or key. Default: none, the service's defaults. */
  readonly profile?: string;
  /** Wins over the profile, field by field. */
  readonly config?: RunConfigInit;
  /** For selecting; those of the task are added. */
  readonly labels?: { [key: string]: string };
};

/** What a run does: a task created with it, or one that exists. */
export type RunWork =
  | { readonly task: TaskInit; readonly taskId?: never }
  | { readonly taskId: string; readonly task?: never };

/** Executions of tasks. */
export class Runs {
  readonly #clients: Clients;
  readonly #call: Call;

  constructor(clients: Clients, call: Call) {
    this.#clients = clients;
    this.#call = call;
  }

  /**
   * Creates a run, with an inline task the task too; it starts by itself. Throws `NotFoundError` for an unknown task or
   * profile and `FailedPreconditionError` (PROJECT_NOT_FOUND, TASK_CANCELLED, RUNNER_UNKNOWN, RUNNER_NOT_INSTALLED) for
   * a run that could never start.
   *
   * @example
   * const run = await am.runs.start({ task: { prompt: "Fix the failing test.", projectRoot: "/projects/app" } });
   */
  async start(run: RunInit & WriteOptions): Promise<RunHandle> {
    const request = {
      work: workOf(run),
      ...(run.profile === undefined ? {} : { profile: profileOf(run.profile) }),
      ...(run.config === undefined ? {} : { configOverrides: run.config }),
      labels: run.labels ?? {},
      requestId: requestIdOf(run),
    };
    const answer = await this.#call((rpc) => this.#clients.runs.createRun(request, rpc), run);
    return this.#handle(expectField(answer.run, "run"));
  }

  /** Returns a run. Throws `NotFoundError` (RUN_NOT_FOUND). */
  async get(runId: string, options?: CallOptions): Promise<RunHandle> {
    const answer = await this.#call((rpc) => this.#clients.runs.getRun({ runId }, rpc), options);
    return this.#handle(expectField(answer.run, "run"));
  }

  /** Yields the runs that a selector picks, newest first; fetches page after page as the loop goes on. */
  list(selector: RunSelectorInit = {}, options: ListOptions = {}): AsyncIterable<RunHandle> {
    return eachItem(async (pageToken) => {
      const request = { selector, pageToken, pageSize: options.pageSize ?? 0 };
      const page = await this.#call((rpc) => this.#clients.runs.listRuns(request, rpc), options);
      return { items: page.runs.map((run) => this.#handle(run)), nextPageToken: page.nextPageToken };
    });
  }

  /** Returns every run that has all of these labels, newest first: how a restarted program finds its runs again. */
  async find(labels: { [key: string]: string }, options?: ListOptions): Promise<readonly RunHandle[]> {
    const found: RunHandle[] = [];
    for await (const run of this.list({ labels }, options)) {
      found.push(run);
    }
    return found;
  }

  /**
   * Asks every run that the selector picks and that has not ended to stop; an empty selector is refused. Returns the
   * ids of those asked. For one run use its handle's `stop()`.
   */
  async stop(
    selector: RunSelectorInit,
    options?: CallOptions & { readonly comment?: string },
  ): Promise<readonly string[]> {
    const request = { selector, comment: options?.comment ?? "" };
    const answer = await this.#call((rpc) => this.#clients.runs.stopRuns(request, rpc), options);
    return answer.runIds;
  }

  /**
   * Yields the events of every run that the selector picks, those stored and those to come, of runs that exist and that
   * do not yet: in one order, by position, each exactly once, taking lost connections up again by itself. Never ends by
   * itself; leaving the loop closes the stream. A selector with `states` is refused, since they change. Throws
   * `OutOfRangeError` (CURSOR_EXPIRED with the number `lost`, CURSOR_AHEAD), `FailedPreconditionError` (CURSOR_FOREIGN:
   * the bookmark is of another log), `UnavailableError` when it gave up.
   *
   * @example
   * for await (const event of am.runs.watch({ labels: { app: "inbox" } }, { after: lastPosition })) {
   *   lastPosition = event.position;
   * }
   */
  watch(selector: RunSelectorInit = {}, options: WatchEventsOptions = {}): AsyncGenerator<RunEvent, void, void> {
    return watchEvents(this.#clients, selector, options);
  }

  #handle(run: Run): RunHandle {
    return new RunHandle(this.#clients, this.#call, run);
  }
}

function workOf(work: RunWork) {
  return work.task === undefined
    ? ({ case: "taskId", value: work.taskId } as const)
    : ({ case: "task", value: work.task } as const);
}

function profileOf(idOrKey: string) {
  return isUuid(idOrKey)
    ? ({ case: "profileId", value: idOrKey } as const)
    : ({ case: "profileKey", value: idOrKey } as const);
}
