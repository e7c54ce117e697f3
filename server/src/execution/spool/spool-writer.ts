import { closeSync, fdatasync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { decodeRecord, encodeRecord, type SpoolRecord } from "./record.js";
import { listSegments, segmentPath } from "./segments.js";

const SEGMENT_BYTES = 64 * 1024 * 1024;

/**
 * Appends records to a spool. Only the supervisor writes, one process per spool. Writes reach the page cache
 * at once, which survives any process; `sync` makes them survive the machine.
 */
export class SpoolWriter {
  #file: number;
  #segmentStart: number;
  #segmentBytes: number;
  #dirty = false;

  constructor(readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const last = listSegments(folder).at(-1);
    this.#segmentStart = last?.start ?? 0;
    this.#file = openSync(last?.path ?? segmentPath(folder, 0), "a+", 0o600);
    this.#segmentBytes = cutTornTail(this.#file);
  }

  /** The offset right after the last record. */
  get offset(): number {
    return this.#segmentStart + this.#segmentBytes;
  }

  /**
   * Appends all of the records or none: a write that fails half way, for example on a full disk, is cut off
   * again and the error thrown, so that the caller can try the same records later.
   */
  append(records: readonly SpoolRecord[]): void {
    if (this.#segmentBytes >= SEGMENT_BYTES) this.#rotate();
    const bytes = Buffer.concat(records.map(encodeRecord));
    try {
      writeFully(this.#file, bytes);
    } catch (error) {
      ftruncateSync(this.#file, this.#segmentBytes);
      throw error;
    }
    this.#segmentBytes += bytes.length;
    this.#dirty = true;
  }

  /** Makes everything appended so far durable. */
  sync(): Promise<void> {
    if (!this.#dirty) return Promise.resolve();
    this.#dirty = false;
    return new Promise((resolve, reject) => fdatasync(this.#file, (error) => (error ? reject(error) : resolve())));
  }

  close(): void {
    closeSync(this.#file);
  }

  #rotate(): void {
    const start = this.offset;
    const next = openSync(segmentPath(this.folder, start), "a+", 0o600);
    closeSync(this.#file);
    this.#file = next;
    this.#segmentStart = start;
    this.#segmentBytes = 0;
  }
}

function writeFully(file: number, bytes: Buffer): void {
  // a short write is legal, also just before the disk is full
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}

/** A writer that died within a record leaves a torn one; nothing after it was ever acknowledged. */
function cutTornTail(file: number): number {
  const size = fstatSync(file).size;
  const bytes = Buffer.allocUnsafe(size);
  for (let done = 0; done < size; ) done += readSync(file, bytes, done, size - done, done);
  let end = 0;
  for (let next = decodeRecord(bytes, 0); next.kind === "record"; next = decodeRecord(bytes, end))
    end += next.sizeBytes;
  if (end < size) ftruncateSync(file, end);
  return end;
}
