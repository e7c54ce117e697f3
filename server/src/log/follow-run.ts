import type { EventDelta } from "@agent-manager/sdk/proto";
import { EventKind } from "@agent-manager/sdk/proto";
import { DomainError } from "../domain/errors.js";
import { isTerminal } from "../domain/run-state.js";
import { type LogHead, readLogHead, readRunEvents, type StoredEvent } from "../store/run-events.js";
import { type RunProgress, readRunProgress } from "../store/runs.js";
import type { Db } from "../store/schema.js";
import type { LogHub, LogSubscription } from "./log-hub.js";

const PAGE_EVENTS = 500;
/** How long a follower trusts the hub before it looks into Postgres itself. */
const POLL_MS = 1_000;

export interface FollowRunRequest {
  readonly runId: string;
  readonly afterSequence: bigint;
  /** Empty: not checked. */
  readonly logId: string;
  /** Field numbers; empty for all. */
  readonly kinds: readonly number[];
  readonly deltas: boolean;
  readonly heartbeatIntervalMs: number;
}

export type FollowFrame =
  | { readonly kind: "opened"; readonly head: LogHead; readonly newestSequence: bigint }
  | { readonly kind: "batch"; readonly events: readonly StoredEvent[]; readonly reachesTail: boolean }
  | { readonly kind: "delta"; readonly delta: EventDelta }
  | { readonly kind: "heartbeat"; readonly sequence: bigint; readonly position: bigint }
  | { readonly kind: "endOfLog"; readonly lastSequence: bigint };

export interface FollowRunOptions {
  readonly db: Db;
  readonly hub: LogHub;
  readonly signal: AbortSignal;
}

/**
 * One run's events from a cursor on: stored ones, then live ones, until the run has ended and all was sent.
 * It subscribes before it reads, so nothing falls between, and keeps no state but its cursor, so a reader of
 * any speed costs the same memory.
 */
export async function* followRun(request: FollowRunRequest, options: FollowRunOptions): AsyncGenerator<FollowFrame> {
  using subscription = options.hub.subscribe(request.runId);
  const head = await readLogHead(options.db);
  const progress = await checkCursor(request, head, options.db);
  yield { kind: "opened", head, newestSequence: progress.lastSequence };
  yield* new RunFollower(request, options, subscription, head.newestPosition).frames();
}

class RunFollower {
  #cursor: bigint;
  #lastFrameMs = Date.now();

  constructor(
    readonly request: FollowRunRequest,
    readonly options: FollowRunOptions,
    readonly subscription: LogSubscription,
    /** Every event of this run up to here has been sent or does not match. */
    private position: bigint,
  ) {
    this.#cursor = request.afterSequence;
  }

  async *frames(): AsyncGenerator<FollowFrame> {
    const { signal } = this.options;
    yield* this.#readStored();
    let progress = await this.#readProgress();
    while (!signal.aborted) {
      if (isTerminal(progress.state) && this.#cursor >= progress.lastSequence) {
        yield { kind: "endOfLog", lastSequence: this.#cursor };
        return;
      }
      const woken = await this.subscription.wait(Math.min(POLL_MS, this.request.heartbeatIntervalMs), signal);
      const stateChanged = yield* this.#takeOffered();
      if (stateChanged || !woken) {
        progress = await this.#readProgress();
        if (this.#cursor < progress.lastSequence) yield* this.#readStored();
      }
      yield* this.#heartbeat();
    }
  }

  async *#readStored(): AsyncGenerator<FollowFrame> {
    for (;;) {
      // unfiltered, so that the cursor also passes what does not match
      const query = { runId: this.request.runId, afterSequence: this.#cursor, kinds: [], limit: PAGE_EVENTS };
      const events = await readRunEvents(this.options.db, query);
      yield* this.#send(events, events.length < PAGE_EVENTS);
      if (events.length < PAGE_EVENTS || this.options.signal.aborted) return;
    }
  }

  /** True if the run's state may have changed. */
  async *#takeOffered(): AsyncGenerator<FollowFrame, boolean> {
    const { events, deltas } = this.subscription.take();
    if (this.request.deltas) for (const delta of deltas) yield this.#stamp({ kind: "delta", delta });
    const fresh = events.filter(({ sequence }) => sequence > this.#cursor);
    const first = fresh[0];
    if (!first) return events.length === 0 && deltas.length === 0; // woken without events: look
    if (first.sequence !== this.#cursor + 1n) yield* this.#readStored();
    else yield* this.#send(fresh, true);
    return fresh.some(({ kind }) => kind === EventKind.RUN_STATE_CHANGED);
  }

  *#send(events: readonly StoredEvent[], reachesTail: boolean): Generator<FollowFrame> {
    const last = events.at(-1);
    if (!last) return;
    this.#cursor = last.sequence;
    if (last.position > this.position) this.position = last.position;
    const { kinds } = this.request;
    const wanted = kinds.length === 0 ? events : events.filter(({ kind }) => kinds.includes(kind));
    if (wanted.length > 0) yield this.#stamp({ kind: "batch", events: wanted, reachesTail });
  }

  *#heartbeat(): Generator<FollowFrame> {
    if (Date.now() - this.#lastFrameMs < this.request.heartbeatIntervalMs) return;
    yield this.#stamp({ kind: "heartbeat", sequence: this.#cursor, position: this.position });
  }

  #stamp(frame: FollowFrame): FollowFrame {
    this.#lastFrameMs = Date.now();
    return frame;
  }

  async #readProgress(): Promise<RunProgress> {
    const progress = await readRunProgress(this.options.db, this.request.runId);
    if (!progress) throw new DomainError("RUN_NOT_FOUND", { run_id: this.request.runId });
    return progress;
  }
}

async function checkCursor(request: FollowRunRequest, head: LogHead, db: Db): Promise<RunProgress> {
  const progress = await readRunProgress(db, request.runId);
  if (!progress) throw new DomainError("RUN_NOT_FOUND", { run_id: request.runId });
  if (request.logId !== "" && request.logId !== head.logId) {
    throw new DomainError("CURSOR_FOREIGN", { log_id: request.logId, current_log_id: head.logId });
  }
  if (request.afterSequence > progress.lastSequence) {
    throw new DomainError("CURSOR_AHEAD", {
      after_sequence: String(request.afterSequence),
      newest_sequence: String(progress.lastSequence),
    });
  }
  return progress;
}
