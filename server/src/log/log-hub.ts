import type { EventDelta } from "@agent-manager/sdk/proto";
import type { StoredEvent } from "../store/run-events.js";
import { LogSubscription } from "./log-subscription.js";
import { type EventChunk, RecentEvents } from "./recent-events.js";

export type { LogSubscription } from "./log-subscription.js";

/**
 * Tells the watchers in this process what was just committed. It is a short cut, never the truth: a watcher
 * that finds a gap, was too slow or follows a run of another server reads from Postgres.
 */
export class LogHub {
  readonly #recent = new RecentEvents();
  readonly #ofAll = new Set<LogSubscription>();
  readonly #byRun = new Map<string, Set<LogSubscription>>();
  readonly #taps = new Set<(events: EventChunk) => void>();

  /** Follows one run, by sequence. */
  subscribe(runId: string): LogSubscription {
    const others = this.#byRun.get(runId) ?? new Set();
    this.#byRun.set(runId, others);
    const remove = () => {
      others.delete(subscription);
      if (others.size === 0 && this.#byRun.get(runId) === others) this.#byRun.delete(runId);
    };
    const subscription = new LogSubscription({ recent: () => this.#recent.ofRun(runId), keyOf: sequenceOf, remove });
    others.add(subscription);
    return subscription;
  }

  /** Follows every run, by position. */
  subscribeAll(): LogSubscription {
    const remove = () => this.#ofAll.delete(subscription);
    const subscription = new LogSubscription({ recent: () => this.#recent.ofAll(), keyOf: positionOf, remove });
    this.#ofAll.add(subscription);
    return subscription;
  }

  /** Calls the listener with everything that is published. Returns what ends that. */
  tap(listener: (events: EventChunk) => void): () => void {
    this.#taps.add(listener);
    return () => this.#taps.delete(listener);
  }

  /**
   * Call after the commit with what one append stored of a run. Appends may be published in another order than
   * that of their positions: watchers of all runs then read what is between from Postgres.
   */
  publish(runId: string, events: EventChunk): void {
    const newest = events.at(-1);
    if (newest === undefined) return;
    this.#recent.add(runId, events);
    for (const subscription of this.#watchersOf(runId)) subscription.offer(newest);
    for (const listener of this.#taps) listener(events);
  }

  publishDelta(delta: EventDelta): void {
    for (const subscription of this.#watchersOf(delta.runId)) subscription.offerDelta(delta);
  }

  /** Something may have changed that was not published: look into Postgres. */
  wake(runId: string): void {
    for (const subscription of this.#watchersOf(runId)) subscription.askToLook();
  }

  /** The same for every run. */
  wakeAll(): void {
    for (const subscription of this.#ofAll) subscription.askToLook();
    for (const subscriptions of this.#byRun.values()) {
      for (const subscription of subscriptions) subscription.askToLook();
    }
  }

  *#watchersOf(runId: string): Generator<LogSubscription> {
    yield* this.#byRun.get(runId) ?? [];
    yield* this.#ofAll;
  }
}

export function sequenceOf({ sequence }: StoredEvent): bigint {
  return sequence;
}

export function positionOf({ position }: StoredEvent): bigint {
  return position;
}
