import { isUnavailable } from "../store/availability.js";
import type { AppendEntry, AppendedRow, EncodedEvent, StoredEvent } from "../store/run-events.js";
import { appendEvents } from "../store/run-events.js";
import type { Db } from "../store/schema.js";
import type { LogHub } from "./log-hub.js";

const MAX_FLUSH_EVENTS = 4_000;
const MAX_FLUSH_BYTES = 8 * 1024 * 1024;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;

export interface LogWriterOptions {
  readonly db: Db;
  readonly hub: LogHub;
  /** Called once per failed attempt of a flush. */
  readonly onRetry: (error: unknown) => void;
}

/** The events were stored; or the run's epoch or offset was not the given one and nothing was. */
export type AppendResult = { readonly kind: "appended" } | { readonly kind: "refused" };

interface Waiting {
  readonly entry: AppendEntry;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The one writer of a server: as soon as the last flush is durable, everything that waits goes into the next,
 * no timer. While the database is away it tries again for as long as that takes; the spools hold what the
 * agents wrote meanwhile.
 */
export class LogWriter {
  #waiting: Waiting[] = [];
  #flushing = false;
  #closed = false;

  constructor(readonly options: LogWriterOptions) {}

  /** Resolves after the commit. At most one append of a run may be under way. */
  append(entry: AppendEntry): Promise<AppendResult> {
    if (this.#closed) return Promise.reject(new LogClosedError());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, resolve, reject });
      if (!this.#flushing) void this.#flushAll();
    });
  }

  /** Fails what still waits; what it carried is read from the spools again after the next start. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new LogClosedError());
  }

  async #flushAll(): Promise<void> {
    this.#flushing = true;
    while (this.#waiting.length > 0) await this.#flush(this.#takeFlush());
    this.#flushing = false;
  }

  #takeFlush(): readonly Waiting[] {
    let events = 0;
    let bytes = 0;
    const end = this.#waiting.findIndex(({ entry }, index) => {
      events += entry.events.length;
      bytes += sizeBytes(entry.events);
      return index > 0 && (events > MAX_FLUSH_EVENTS || bytes > MAX_FLUSH_BYTES);
    });
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }

  async #flush(flush: readonly Waiting[]): Promise<void> {
    const entries = flush.map(({ entry }) => entry);
    for (let delayMs = RETRY_MIN_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MAX_MS)) {
      try {
        const rows = new Map((await appendEvents(this.options.db, entries)).map((row) => [row.run_id, row]));
        for (const { entry, resolve } of flush) this.#settle(entry, rows.get(entry.runId), resolve);
        return;
      } catch (error) {
        if (this.#closed) return fail(flush, new LogClosedError());
        if (!isUnavailable(error)) return this.#isolate(flush, error);
        this.options.onRetry(error);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }

  /** One run's events that the database refuses must not hold up the others. */
  async #isolate(flush: readonly Waiting[], error: unknown): Promise<void> {
    if (flush.length === 1) return fail(flush, error);
    for (const waiting of flush) await this.#flush([waiting]);
  }

  #settle(entry: AppendEntry, row: AppendedRow | undefined, resolve: (result: AppendResult) => void): void {
    if (row) this.options.hub.publish(entry.runId, placeEvents(entry.events, row));
    resolve({ kind: row ? "appended" : "refused" });
  }
}

class LogClosedError extends Error {
  override readonly name = "LogClosedError";
}

/** Joins events to the places that the append gave them. */
export function placeEvents(events: readonly EncodedEvent[], row: AppendedRow): readonly StoredEvent[] {
  return events.map(({ kind, bytes }, index) => ({
    runId: row.run_id,
    sequence: BigInt(row.base_sequence) + BigInt(index + 1),
    position: BigInt(row.base_position) + BigInt(index + 1),
    kind,
    recordTime: row.record_time,
    bytes,
  }));
}

function fail(flush: readonly Waiting[], error: unknown): void {
  for (const { reject } of flush) reject(error);
}

function sizeBytes(events: readonly EncodedEvent[]): number {
  return events.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
