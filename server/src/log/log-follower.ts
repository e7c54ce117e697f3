import type { EventDelta } from "@agent-manager/sdk/proto";
import { DomainError } from "../domain/errors.js";
import type { LogHead, LogRange, StoredEvent } from "../store/run-events.js";
import type { LogSubscription } from "./log-subscription.js";
import { type EventChunk, type EventKey, MAX_CHUNK_BYTES } from "./recent-events.js";

const MAX_PAGE_EVENTS = 1_000;
/** How far one statement looks for events that match, so that a watch that matches little is never silent. */
const WINDOW = 20_000n;
/** How long a follower trusts the hub before it looks into Postgres itself. */
const POLL_MS = 5_000;

/** Where the log stands, counted in the follower's keys. */
export interface LogEnd {
  readonly head: LogHead;
  readonly newest: bigint;
  /** The oldest that is kept. */
  readonly oldest: bigint;
  /** Nothing will follow the newest. */
  readonly ended: boolean;
}

/** What is followed: one run's log by sequence, or that of many runs by position. */
export interface LogSource {
  /** What cursors of this source are called in errors. */
  readonly keyName: "sequence" | "position";
  readonly keyOf: EventKey;
  readEnd(): Promise<LogEnd>;
  /** Those stored in the range that match, oldest first. */
  readPage(range: Omit<LogRange, "kinds">): Promise<readonly StoredEvent[]>;
  /** Those of a few chunks that match. A chunk that matches as a whole is the same array as before. */
  pick(chunks: readonly EventChunk[]): Promise<readonly EventChunk[]>;
  wants(delta: EventDelta): Promise<boolean>;
  /** True if the last event of an append may have been the last of all: a transition comes after its other events. */
  mayEnd(last: StoredEvent): boolean;
}

export type FollowFrame =
  | { readonly kind: "opened"; readonly head: LogHead; readonly newest: bigint }
  | { readonly kind: "batch"; readonly chunks: readonly EventChunk[]; readonly reachesTail: boolean }
  | { readonly kind: "delta"; readonly delta: EventDelta }
  /** Everything up to the cursor, and up to the position, was sent or does not match. */
  | { readonly kind: "heartbeat"; readonly cursor: bigint; readonly position: bigint };

export interface FollowOptions {
  readonly source: LogSource;
  /** Made before the log was read, so that nothing falls between. */
  readonly subscription: LogSubscription;
  readonly start: { readonly after: bigint } | "tail";
  /** The log that the cursor is of. Empty: not checked. */
  readonly logId: string;
  readonly deltas: boolean;
  readonly heartbeatIntervalMs: number;
  readonly signal: AbortSignal;
}

/**
 * A log's events from a cursor on: stored ones, then live ones. Returns the last key when the source has ended and
 * all was sent, undefined on abort. It keeps no state but its cursor, so a reader of any speed costs the same memory.
 */
export async function* followLog(options: FollowOptions): AsyncGenerator<FollowFrame, bigint | undefined> {
  const { source, start } = options;
  const end = await source.readEnd();
  const cursor = start === "tail" ? end.newest : start.after;
  checkCursor({ source, cursor, end, logId: options.logId });
  yield { kind: "opened", head: end.head, newest: end.newest };
  return yield* new LogFollower(options, cursor, end).frames();
}

class LogFollower {
  #cursor: bigint;
  #position = 0n;
  #end: LogEnd;
  #saidTail: boolean;
  #pageEvents = MAX_PAGE_EVENTS;
  #lastFrameMs = Date.now();

  constructor(
    readonly options: FollowOptions,
    cursor: bigint,
    end: LogEnd,
  ) {
    this.#cursor = cursor;
    this.#end = end;
    this.#saidTail = cursor >= end.newest;
  }

  async *frames(): AsyncGenerator<FollowFrame, bigint | undefined> {
    const { signal, subscription } = this.options;
    yield* this.#catchUp();
    while (!signal.aborted && !this.#ended) {
      const woken = await subscription.wait(this.#patienceMs(), signal);
      const look = yield* this.#takeOffered();
      if (look || !woken) yield* this.#catchUp();
      yield* this.#heartbeatIfDue();
    }
    return this.#ended ? this.#cursor : undefined;
  }

  get #ended(): boolean {
    return this.#end.ended && this.#cursor >= this.#end.newest;
  }

  /** Reads what is stored beyond the cursor, page by page at the reader's pace. */
  async *#catchUp(): AsyncGenerator<FollowFrame> {
    await this.#readEnd();
    while (this.#cursor < this.#end.newest && !this.options.signal.aborted) {
      const { newest, head } = this.#end;
      const upTo = newest - this.#cursor > WINDOW ? this.#cursor + WINDOW : newest;
      const limits = { maxEvents: this.#pageEvents, maxBytes: MAX_CHUNK_BYTES };
      const range = { after: this.#cursor, upTo, oldestPosition: head.oldestPosition, ...limits };
      const page = await this.options.source.readPage(range);
      if (page.length === 0) {
        await this.#readEnd(); // a log that was trimmed meanwhile gives an empty page too
        if (this.#end.head.oldestPosition !== head.oldestPosition) continue;
      }
      const sizeBytes = page.reduce((sum, { bytes }) => sum + bytes.length, 0);
      const whole = page.length < limits.maxEvents && sizeBytes < limits.maxBytes; // the limits cut nothing off
      this.#pageEvents = nextPageEvents(page.length, sizeBytes);
      yield* this.#sendPage(page, whole ? upTo : this.#keyOf(page.at(-1)));
      yield* this.#heartbeatIfDue();
    }
    this.#notePosition(this.#end.head.newestPosition);
    if (!this.#saidTail) yield this.#heartbeat();
  }

  *#sendPage(page: readonly StoredEvent[], cursor: bigint): Generator<FollowFrame> {
    this.#cursor = cursor;
    const last = page.at(-1);
    if (last === undefined) return;
    this.#notePosition(last.position);
    yield this.#batch([page], cursor >= this.#end.newest);
  }

  /** Sends what the hub has. True if Postgres may have more. */
  async *#takeOffered(): AsyncGenerator<FollowFrame, boolean> {
    const { source, subscription } = this.options;
    const { chunks, deltas, look, more } = subscription.take(this.#cursor);
    if (this.options.deltas) {
      for (const delta of deltas) if (await source.wants(delta)) yield this.#stamp({ kind: "delta", delta });
    }
    const last = chunks.at(-1)?.at(-1);
    if (last === undefined) return look;
    const picked = await source.pick(chunks);
    this.#cursor = source.keyOf(last);
    this.#notePosition(last.position);
    if (picked.length > 0) yield this.#batch(picked, !look && !more);
    return look || chunks.some((chunk) => chunk.slice(-1).some(source.mayEnd));
  }

  async #readEnd(): Promise<void> {
    const { source } = this.options;
    const end = await source.readEnd();
    checkCursor({ source, cursor: this.#cursor, end, logId: this.#end.head.logId });
    this.#end = end;
  }

  #keyOf(event: StoredEvent | undefined): bigint {
    return event === undefined ? this.#cursor : this.options.source.keyOf(event);
  }

  #notePosition(position: bigint): void {
    if (position > this.#position) this.#position = position;
  }

  #patienceMs(): number {
    const dueMs = this.#lastFrameMs + this.options.heartbeatIntervalMs - Date.now();
    return Math.max(1, Math.min(POLL_MS, dueMs));
  }

  *#heartbeatIfDue(): Generator<FollowFrame> {
    if (Date.now() - this.#lastFrameMs >= this.options.heartbeatIntervalMs) yield this.#heartbeat();
  }

  #batch(chunks: readonly EventChunk[], reachesTail: boolean): FollowFrame {
    this.#saidTail = reachesTail;
    return this.#stamp({ kind: "batch", chunks, reachesTail });
  }

  #heartbeat(): FollowFrame {
    this.#saidTail ||= this.#cursor >= this.#end.newest;
    return this.#stamp({ kind: "heartbeat", cursor: this.#cursor, position: this.#position });
  }

  #stamp(frame: FollowFrame): FollowFrame {
    this.#lastFrameMs = Date.now();
    return frame;
  }
}

/** Twice as many as are likely to fit: Postgres reads what it then cuts off. */
function nextPageEvents(events: number, sizeBytes: number): number {
  if (sizeBytes === 0) return MAX_PAGE_EVENTS;
  return Math.min(MAX_PAGE_EVENTS, Math.ceil((2 * MAX_CHUNK_BYTES * events) / sizeBytes));
}

interface CursorCheck {
  readonly source: LogSource;
  readonly cursor: bigint;
  readonly end: LogEnd;
  readonly logId: string;
}

function checkCursor({ source: { keyName }, cursor, end, logId }: CursorCheck): void {
  if (logId !== "" && logId !== end.head.logId) {
    throw new DomainError("CURSOR_FOREIGN", { log_id: logId, current_log_id: end.head.logId });
  }
  const after = { [`after_${keyName}`]: String(cursor) };
  if (cursor > end.newest)
    throw new DomainError("CURSOR_AHEAD", { ...after, [`newest_${keyName}`]: String(end.newest) });
  const lost = end.oldest - cursor - 1n;
  if (lost > 0n) {
    const oldest = { [`oldest_${keyName}`]: String(end.oldest) };
    throw new DomainError("CURSOR_EXPIRED", { ...after, ...oldest, lost: String(lost) });
  }
}
