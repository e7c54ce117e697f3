import { type FileHandle, open } from "node:fs/promises";
import { decodeRecord, type SpoolRecord } from "./record.js";
import { listSegments } from "./segments.js";

const READ_BYTES = 1024 * 1024;

/** What a read found: records in order and the offset right after the last one. */
export interface SpoolBatch {
  readonly records: readonly { readonly record: SpoolRecord; readonly endOffset: number }[];
  readonly endOffset: number;
}

export class SpoolDamagedError extends Error {
  override readonly name = "SpoolDamagedError";
}

/** Reads a spool that another process may still be writing. Remembers nothing but its open file. */
export class SpoolReader {
  #file: FileHandle | undefined;
  #segment: { readonly start: number; readonly path: string } | undefined;

  constructor(readonly folder: string) {}

  /**
   * Reads the whole records from `offset` on, up to about 1 MiB (a longer record alone is read whole). An
   * empty batch means that there is nothing new. Throws SpoolDamagedError when a checksum does not hold.
   */
  async read(offset: number): Promise<SpoolBatch> {
    for (let bytes = READ_BYTES; ; bytes *= 2) {
      const batch = await this.#readAtMost(offset, bytes);
      if (batch) return batch;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    this.#segment = undefined;
  }

  /** Undefined if the first record is longer than the buffer. */
  async #readAtMost(offset: number, maxBytes: number): Promise<SpoolBatch | undefined> {
    const file = await this.#openAt(offset);
    if (!file || !this.#segment) return { records: [], endOffset: offset };
    const buffer = Buffer.allocUnsafe(maxBytes);
    const { bytesRead } = await file.read(buffer, 0, maxBytes, offset - this.#segment.start);
    const batch = decodeAll(buffer.subarray(0, bytesRead), offset);
    return batch.records.length === 0 && bytesRead === maxBytes ? undefined : batch;
  }

  async #openAt(offset: number): Promise<FileHandle | undefined> {
    const segment = listSegments(this.folder).findLast(({ start }) => start <= offset);
    if (segment?.path === this.#segment?.path) return this.#file;
    await this.close();
    if (!segment) return undefined;
    this.#file = await open(segment.path, "r");
    this.#segment = segment;
    return this.#file;
  }
}

function decodeAll(bytes: Buffer, offset: number): SpoolBatch {
  const records: { record: SpoolRecord; endOffset: number }[] = [];
  let at = 0;
  for (;;) {
    const next = decodeRecord(bytes, at);
    if (next.kind === "damaged") throw new SpoolDamagedError(`spool is damaged at offset ${offset + at}`);
    if (next.kind === "incomplete") return { records, endOffset: offset + at };
    at += next.sizeBytes;
    records.push({ record: next.record, endOffset: offset + at });
  }
}
