import type { EventDelta } from "@agent-manager/sdk/proto";
import type { StoredEvent } from "../store/run-events.js";

/** What a subscriber has not taken yet is dropped beyond this; it reads the same from Postgres instead. */
const MAX_QUEUED_EVENTS = 256;
const MAX_QUEUED_BYTES = 1024 * 1024;

/**
 * Tells the watchers in this process what was just committed. It is a short cut, never the truth: a watcher
 * that finds a gap, was too slow or follows a run of another server reads from Postgres.
 */
export class LogHub {
  readonly #byRun = new Map<string, Set<LogSubscription>>();

  subscribe(runId: string): LogSubscription {
    const subscription = new LogSubscription(() => this.#remove(runId, subscription));
    const others = this.#byRun.get(runId);
    if (others) others.add(subscription);
    else this.#byRun.set(runId, new Set([subscription]));
    return subscription;
  }

  /** Call after the commit, in the order of positions. */
  publish(runId: string, events: readonly StoredEvent[]): void {
    for (const subscription of this.#byRun.get(runId) ?? []) subscription.offer(events);
  }

  publishDelta(delta: EventDelta): void {
    for (const subscription of this.#byRun.get(delta.runId) ?? []) subscription.offerDelta(delta);
  }

  /** Something may have changed that was not published: look into Postgres. */
  wake(runId: string): void {
    for (const subscription of this.#byRun.get(runId) ?? []) subscription.offer([]);
  }

  #remove(runId: string, subscription: LogSubscription): void {
    const others = this.#byRun.get(runId);
    others?.delete(subscription);
    if (others?.size === 0) this.#byRun.delete(runId);
  }
}

export interface Offered {
  readonly events: readonly StoredEvent[];
  readonly deltas: readonly EventDelta[];
}

export class LogSubscription implements Disposable {
  #events: StoredEvent[] = [];
  #deltas: EventDelta[] = [];
  #bytes = 0;
  #woken = false;
  #wake: (() => void) | undefined;

  constructor(readonly remove: () => void) {}

  offer(events: readonly StoredEvent[]): void {
    for (const event of events) this.#bytes += event.bytes.length;
    this.#events.push(...events);
    if (this.#events.length > MAX_QUEUED_EVENTS || this.#bytes > MAX_QUEUED_BYTES) this.#dropEvents();
    this.#signal();
  }

  offerDelta(delta: EventDelta): void {
    if (this.#deltas.length < MAX_QUEUED_EVENTS) this.#deltas.push(delta);
    this.#signal();
  }

  /** Resolves true when something was offered, false after the time; at once if something waits already. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#woken && !signal.aborted) await this.#nextSignal(timeoutMs, signal);
    const woken = this.#woken;
    this.#woken = false;
    return woken;
  }

  take(): Offered {
    const offered = { events: this.#events, deltas: this.#deltas };
    this.#dropEvents();
    this.#deltas = [];
    return offered;
  }

  [Symbol.dispose](): void {
    this.remove();
  }

  #dropEvents(): void {
    this.#events = [];
    this.#bytes = 0;
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
