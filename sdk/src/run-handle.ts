import type { Call, CallOptions, WriteOptions } from "./call.js";
import { expectField, requestIdOf } from "./call.js";
import type { Clients } from "./clients.js";
import type { ChangeSet } from "./gen/agent_manager/v1/change_set_pb.js";
import type { RunEvent } from "./gen/agent_manager/v1/run_event_pb.js";
import { EventKind } from "./gen/agent_manager/v1/run_event_service_pb.js";
import type { Run, RunState } from "./gen/agent_manager/v1/run_pb.js";
import { type RunResult, resultOf } from "./run-result.js";
import { isSettled } from "./run-state.js";
import type { EventsOptions, RunFrame } from "./watch-options.js";
import { watchRun } from "./watch-run.js";

/** Which part of a change set is meant. Left out: everything. Empty lists pick nothing. */
export interface SelectionOptions {
  /** Whole files by path, relative to the project root. */
  readonly files?: readonly string[];
  /** Single hunks by id. */
  readonly hunks?: readonly string[];
}

/** Options of `approve()`. */
export interface ApproveOptions extends SelectionOptions, WriteOptions {
  /** The digest of the change set that was looked at. Default: the latest, whatever it holds. */
  readonly digest?: string;
  /** Why, for people. */
  readonly comment?: string;
}

/** Options of `reject()`. */
export interface RejectOptions extends SelectionOptions, WriteOptions {
  /** Why, for people. */
  readonly comment?: string;
}

/** What `approve()` did. */
export interface Approval {
  readonly run: Run;
  /** The files written to the project, by path. */
  readonly appliedFiles: readonly string[];
}

/** One run: its last known state, its events, and what can be done with it. */
export class RunHandle {
  readonly #clients: Clients;
  readonly #call: Call;
  #snapshot: Run;

  constructor(clients: Clients, call: Call, snapshot: Run) {
    this.#clients = clients;
    this.#call = call;
    this.#snapshot = snapshot;
  }

  /** The run's id (UUID). */
  get id(): string {
    return this.#snapshot.runId;
  }

  /** The run as this handle last saw it. */
  get snapshot(): Run {
    return this.#snapshot;
  }

  /** Reads the run again. Throws `NotFoundError` (RUN_NOT_FOUND) if it was deleted. */
  async refresh(options?: CallOptions): Promise<Run> {
    const answer = await this.#call((rpc) => this.#clients.runs.getRun({ runId: this.id }, rpc), options);
    return this.#keep(answer.run);
  }

  /**
   * Yields the run's events from the first (or after `after`) to the end of the agent's work (or of the run): in order,
   * each exactly once, taking lost connections up again by itself. Leaving the loop closes the stream. Throws
   * `OutOfRangeError` for a cursor outside the log, `DataLossError` for a gap, `UnavailableError` when it gave up.
   */
  async *events(options: EventsOptions = {}): AsyncGenerator<RunEvent, void, void> {
    for await (const batch of this.#watch(options, false)) {
      for (const frame of batch) {
        if (frame.kind === "event") {
          yield frame.event;
        }
      }
    }
  }

  /** The same with deltas, the partial text of items that are being written, in between. */
  async *frames(options: EventsOptions = {}): AsyncGenerator<RunFrame, void, void> {
    for await (const batch of this.#watch(options, true)) {
      yield* batch;
    }
  }

  /**
   * Waits until the agent's work has ended and says how. That is when the run waits for review (`review: "pending"`) or
   * has ended for good; a result is not an exception, whatever its kind. Waits as long as it takes.
   */
  async wait(options: Pick<EventsOptions, "signal" | "giveUpAfterMs" | "onReconnect"> = {}): Promise<RunResult> {
    const signal = options.signal === undefined ? {} : { signal: options.signal };
    await this.refresh(signal);
    while (!isSettled(this.#snapshot.state)) {
      const events = this.events({
        ...options,
        after: this.#snapshot.lastSequence,
        kinds: [EventKind.RUN_STATE_CHANGED],
      });
      for await (const _ of events) {
        // Only the end matters; what the run is then is read in one piece.
      }
      await this.refresh(signal);
    }
    return resultOf(this.#snapshot);
  }

  /**
   * Returns what the run wants to change. Throws `FailedPreconditionError` (CHANGE_SET_NOT_READY) while the agent
   * works. `filesOnly` leaves out the diff and the hunks.
   */
  async changes(options?: CallOptions & { readonly filesOnly?: boolean }): Promise<ChangeSet> {
    const request = { runId: this.id, filesOnly: options?.filesOnly ?? false };
    const answer = await this.#call((rpc) => this.#clients.runs.getChangeSet(request, rpc), options);
    return expectField(answer.changeSet, "change_set");
  }

  /**
   * Applies the run's changes, or a selection of them, to the project: all of it or nothing. Name the digest that was
   * looked at to be sure that nothing else is approved. Throws `ConflictError` (CHANGE_SET_STALE) for another digest
   * than the latest, `FailedPreconditionError` with APPLY_CONFLICT and the files in `preconditions` if the project
   * moved under a file, or RUN_NOT_REVIEWABLE.
   */
  async approve(options: ApproveOptions = {}): Promise<Approval> {
    const request = {
      runId: this.id,
      digest: options.digest ?? (await this.changes({ ...callOptions(options), filesOnly: true })).digest,
      ...selectionOf(options),
      comment: options.comment ?? "",
      requestId: requestIdOf(options),
    };
    const answer = await this.#call((rpc) => this.#clients.runs.approveRun(request, rpc), options);
    return { run: this.#keep(answer.run), appliedFiles: answer.appliedFiles };
  }

  /** Discards the run's changes, or a selection of them. Rejecting twice is rejecting once. */
  async reject(options: RejectOptions = {}): Promise<Run> {
    const request = {
      runId: this.id,
      ...selectionOf(options),
      comment: options.comment ?? "",
      requestId: requestIdOf(options),
    };
    const answer = await this.#call((rpc) => this.#clients.runs.rejectRun(request, rpc), options);
    return this.#keep(answer.run);
  }

  /**
   * Asks the run to stop and returns at once; `wait()` tells when it has. What it changed so far stays reviewable.
   * Throws `FailedPreconditionError` (RUN_NOT_STOPPABLE) for a run that has ended.
   */
  async stop(options?: CallOptions & { readonly comment?: string }): Promise<Run> {
    const request = { runId: this.id, comment: options?.comment ?? "" };
    const answer = await this.#call((rpc) => this.#clients.runs.stopRun(request, rpc), options);
    return this.#keep(answer.run);
  }

  #watch(options: EventsOptions, deltas: boolean): AsyncGenerator<readonly RunFrame[]> {
    return watchRun(this.#clients, { ...options, deltas, runId: this.id, readState: () => this.#readState(options) });
  }

  async #readState(options: EventsOptions): Promise<RunState> {
    return (await this.refresh(options.signal === undefined ? {} : { signal: options.signal })).state;
  }

  /** Keeps the newest of what was seen: answers may overtake each other. */
  #keep(run: Run | undefined): Run {
    const seen = expectField(run, "run");
    if (seen.version >= this.#snapshot.version) {
      this.#snapshot = seen;
    }
    return seen;
  }
}

function callOptions(options: CallOptions): CallOptions {
  return {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  };
}

function selectionOf(options: SelectionOptions): { selection?: { files: string[]; hunkIds: string[] } } {
  if (options.files === undefined && options.hunks === undefined) {
    return {};
  }
  return { selection: { files: [...(options.files ?? [])], hunkIds: [...(options.hunks ?? [])] } };
}
