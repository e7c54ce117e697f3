import type { EventDelta } from "@agent-manager/sdk/proto";
import type { StoredEvent } from "../store/run-events.js";
import { chunksAfter, type EventChunk, type EventKey } from "./recent-events.js";

/** Deltas are live only: what a watcher has not taken is lost beyond this. */
const MAX_QUEUED_DELTAS = 256;
const MAX_QUEUED_DELTA_CHARS = 256 * 1024;

export interface LogSubscriptionOptions {
  readonly recent: () => readonly EventChunk[];
  readonly keyOf: EventKey;
  readonly remove: () => void;
}

/** What came since the last time. */
export interface Offered {
  /** What follows the cursor without a gap. */
  readonly chunks: readonly EventChunk[];
  readonly deltas: readonly EventDelta[];
  /** There may be more in Postgres than was offered here. */
  readonly look: boolean;
  /** There is more here, which the next call gives. */
  readonly more: boolean;
}

/** One watcher's place at the hub. It holds a key and a few deltas, no events. */
export class LogSubscription implements Disposable {
  #newest = 0n;
  #deltas: EventDelta[] = [];
  #deltaChars = 0;
  #askedToLook = false;
  #woken = false;
  #wake: (() => void) | undefined;

  constructor(readonly options: LogSubscriptionOptions) {}

  offer(newest: StoredEvent): void {
    const key = this.options.keyOf(newest);
    if (key > this.#newest) this.#newest = key;
    this.#signal();
  }

  offerDelta(delta: EventDelta): void {
    if (this.#deltas.length >= MAX_QUEUED_DELTAS || this.#deltaChars >= MAX_QUEUED_DELTA_CHARS) return;
    this.#deltas.push(delta);
    this.#deltaChars += delta.text.length;
    this.#signal();
  }

  askToLook(): void {
    this.#askedToLook = true;
    this.#signal();
  }

  /** Resolves true when something was offered, false after the time; at once if something waits already. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#woken && !signal.aborted) await this.#nextSignal(timeoutMs, signal);
    const woken = this.#woken;
    this.#woken = false;
    return woken;
  }

  /** What was offered beyond the cursor, about one message of it; what is left wakes the next wait at once. */
  take(cursor: bigint): Offered {
    const { recent, keyOf } = this.options;
    const chunks = chunksAfter(recent(), cursor, keyOf);
    const reached = cursor + BigInt(chunks.reduce((count, { length }) => count + length, 0));
    const missed = reached < this.#newest;
    const more = missed && chunks.length > 0;
    if (more) this.#woken = true;
    const offered = { chunks, deltas: this.#deltas, look: this.#askedToLook || (missed && !more), more };
    this.#deltas = [];
    this.#deltaChars = 0;
    this.#askedToLook = false;
    return offered;
  }

  [Symbol.dispose](): void {
    this.options.remove();
  }

  #signal(): void {
    this.#woken = true;
    this.#wake?.();
  }

  #nextSignal(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener("abort", done, { once: true });
      this.#wake = done;
    });
  }
}
