import type { StoredEvent } from "../store/run-events.js";

/** Events of one append that follow each other without a gap, in sequence and in position. Never changed. */
export type EventChunk = readonly StoredEvent[];

/** What a watch's cursor counts: sequences of one run, or positions of the whole log. */
export type EventKey = (event: StoredEvent) => bigint;

const MAX_BYTES = 8 * 1024 * 1024;
/** What an event costs in memory besides its bytes. */
const OVERHEAD_BYTES = 256;
/** Chunks are cut to this, so that no message to a watcher gets much larger. */
export const MAX_CHUNK_BYTES = 256 * 1024;

/**
 * The last events that this process stored, shared by all its watchers: one that keeps up takes the very same
 * chunks as the others, and one that is behind them reads from Postgres. So a watcher costs no queue of its own.
 */
export class RecentEvents {
  readonly #all: EventChunk[] = [];
  readonly #byRun = new Map<string, EventChunk[]>();
  #sizeBytes = 0;

  /** Adds what one append stored of one run. */
  add(runId: string, events: EventChunk): void {
    const ofRun = this.#byRun.get(runId) ?? [];
    this.#byRun.set(runId, ofRun);
    for (const chunk of splitChunk(events)) {
      this.#all.push(chunk);
      ofRun.push(chunk);
      this.#sizeBytes += sizeOf(chunk);
    }
    while (this.#sizeBytes > MAX_BYTES) this.#dropOldest();
  }

  ofAll(): readonly EventChunk[] {
    return this.#all;
  }

  ofRun(runId: string): readonly EventChunk[] {
    return this.#byRun.get(runId) ?? [];
  }

  #dropOldest(): void {
    const chunk = this.#all.shift();
    const runId = chunk?.[0]?.runId;
    if (chunk === undefined || runId === undefined) return;
    this.#sizeBytes -= sizeOf(chunk);
    const ofRun = this.#byRun.get(runId);
    ofRun?.shift(); // both lists are in the order of arrival
    if (ofRun?.length === 0) this.#byRun.delete(runId);
  }
}

/** The chunks that follow a cursor without a gap, up to about one message; none if the next event is not there. */
export function chunksAfter(chunks: readonly EventChunk[], cursor: bigint, keyOf: EventKey): readonly EventChunk[] {
  const found: EventChunk[] = [];
  let reached = cursor;
  let sizeBytes = 0;
  for (let index = startIndex(chunks, cursor, keyOf); index < chunks.length; index += 1) {
    const fresh = cutUpTo(chunks[index] ?? [], reached, keyOf);
    const [first] = fresh;
    if (first === undefined) continue;
    if (keyOf(first) !== reached + 1n) break;
    sizeBytes += sizeOf(fresh);
    if (found.length > 0 && sizeBytes > MAX_CHUNK_BYTES) break;
    found.push(fresh);
    reached += BigInt(fresh.length);
  }
  return found;
}

/** From the end: who keeps up needs the last chunk only. */
function startIndex(chunks: readonly EventChunk[], cursor: bigint, keyOf: EventKey): number {
  for (let index = chunks.length - 1; index > 0; index -= 1) {
    const first = chunks[index]?.[0];
    if (first !== undefined && keyOf(first) <= cursor + 1n) return index;
  }
  return 0;
}

/** The chunk itself where nothing is to be cut: it is what its encoded form is kept by. */
function cutUpTo(chunk: EventChunk, reached: bigint, keyOf: EventKey): EventChunk {
  const [first] = chunk;
  if (first === undefined || keyOf(first) > reached) return chunk;
  return chunk.slice(Number(reached - keyOf(first)) + 1);
}

/** The events of these kinds (field numbers; empty for all). A chunk that loses none stays the same array. */
export function pickKinds(chunks: readonly EventChunk[], kinds: readonly number[]): readonly EventChunk[] {
  if (kinds.length === 0) return chunks;
  return chunks
    .map((chunk) =>
      chunk.every(({ kind }) => kinds.includes(kind)) ? chunk : chunk.filter(({ kind }) => kinds.includes(kind)),
    )
    .filter(({ length }) => length > 0);
}

function* splitChunk(events: EventChunk): Generator<EventChunk> {
  let start = 0;
  let sizeBytes = 0;
  for (const [index, { bytes }] of events.entries()) {
    if (index > start && sizeBytes + bytes.length > MAX_CHUNK_BYTES) {
      yield events.slice(start, index);
      start = index;
      sizeBytes = 0;
    }
    sizeBytes += bytes.length;
  }
  if (start < events.length) yield start === 0 ? events : events.slice(start);
}

const sizes = new WeakMap<EventChunk, number>();

/** Counted once per chunk: a thousand watchers ask. */
function sizeOf(chunk: EventChunk): number {
  const known = sizes.get(chunk);
  if (known !== undefined) return known;
  const sizeBytes = chunk.reduce((sum, { bytes }) => sum + bytes.length + OVERHEAD_BYTES, 0);
  sizes.set(chunk, sizeBytes);
  return sizeBytes;
}
