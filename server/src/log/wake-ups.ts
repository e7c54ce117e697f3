import type pg from "pg";
import type { Logger } from "pino";
import { findRunsAfter, readLogHead } from "../store/run-events.js";
import type { Db } from "../store/schema.js";
import type { LogHub } from "./log-hub.js";
import type { EventChunk } from "./recent-events.js";
import { WakeUpConnection } from "./wake-up-connection.js";

/** At most twenty notifications a second: commits that notify wait for each other. */
const NOTIFY_INTERVAL_MS = 50;
const POLL_MS = 1_000;
/** Beyond this many events behind, asking which runs they are of costs more than everybody looking. */
const MAX_EVENTS_TO_SORT = 20_000n;

export interface WakeUpsOptions {
  readonly db: Db;
  readonly pool: pg.Pool;
  readonly hub: LogHub;
  readonly log: Logger;
}

/**
 * Wakes watchers here for what other servers append, and theirs for what this one does. A notification is a hint
 * and may be lost, so once a second and process the head of the log is read too, and whoever has to do with what
 * nobody told of is woken then.
 */
export class WakeUps {
  readonly #covered = new Coverage();
  readonly #changedRuns = new Set<string>();
  #connection: WakeUpConnection | undefined;
  #closed = false;
  #polling: Promise<void> = Promise.resolve();
  #pollTimer: NodeJS.Timeout | undefined;
  #notifyTimer: NodeJS.Timeout | undefined;
  #untap = () => {};

  constructor(readonly options: WakeUpsOptions) {}

  start(): void {
    this.#untap = this.options.hub.tap((events) => this.#notePublished(events));
    this.#poll();
  }

  /** Watchers then hear of this process's own appends only. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#untap();
    clearTimeout(this.#pollTimer);
    clearTimeout(this.#notifyTimer);
    await this.#polling;
    this.#connection?.close();
  }

  #notePublished(events: EventChunk): void {
    this.#covered.add(events);
    for (const { runId } of events.slice(0, 1)) this.#changedRuns.add(runId);
    this.#notifyTimer ??= setTimeout(() => this.#notify(), NOTIFY_INTERVAL_MS);
  }

  #notify(): void {
    this.#notifyTimer = undefined;
    this.#connection?.notify([...this.#changedRuns]);
    this.#changedRuns.clear();
  }

  #poll(): void {
    this.#polling = this.#lookAndConnect()
      .catch((error: unknown) => {
        this.options.log.debug({ err: error }, "cannot see what other servers append; trying again");
      })
      .finally(() => {
        if (!this.#closed) this.#pollTimer = setTimeout(() => this.#poll(), POLL_MS);
      });
  }

  async #lookAndConnect(): Promise<void> {
    await this.#look();
    if (this.#connection?.usable || this.#closed) return;
    const { pool, log } = this.options;
    this.#connection = await WakeUpConnection.open({ pool, log, onNotified: (runIds) => this.#wake(runIds) });
  }

  async #look(): Promise<void> {
    const { db, hub } = this.options;
    const { newestPosition } = await readLogHead(db);
    const behind = newestPosition - this.#covered.position;
    if (behind > MAX_EVENTS_TO_SORT) hub.wakeAll();
    else if (behind > 0n) this.#wake(await findRunsAfter(db, this.#covered.position));
    this.#covered.moveTo(newestPosition);
  }

  /** No run named: it may be any. */
  #wake(runIds: readonly string[]): void {
    if (runIds.length === 0) this.options.hub.wakeAll();
    for (const runId of runIds) this.options.hub.wake(runId);
  }
}

/** Up to where this process knows of every event, though its appends are published in any order. */
class Coverage {
  position = 0n;
  /** Last positions of what was published beyond a gap, by first position. */
  readonly #beyond = new Map<bigint, bigint>();

  add(events: EventChunk): void {
    const [first, last] = [events[0], events.at(-1)];
    if (first && last) this.#beyond.set(first.position, last.position);
    this.moveTo(this.position);
  }

  moveTo(position: bigint): void {
    if (position > this.position) {
      this.position = position;
      for (const [first] of this.#beyond) if (first <= position) this.#beyond.delete(first);
    }
    for (let last = this.#take(); last !== undefined; last = this.#take()) this.position = last;
  }

  #take(): bigint | undefined {
    const first = this.position + 1n;
    const last = this.#beyond.get(first);
    this.#beyond.delete(first);
    return last;
  }
}
