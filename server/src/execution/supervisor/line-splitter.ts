import { MAX_PAYLOAD_BYTES, PARTIAL, UNTERMINATED } from "../spool/record.js";
import type { Redactor } from "./redactor.js";

export interface LinePiece {
  readonly payload: Buffer;
  readonly flags: number;
}

/**
 * Turns chunks of one stream into redacted lines without their "\n". A line longer than MAX_PAYLOAD_BYTES
 * comes in partial pieces; what follows the last cut is kept back by the length of the longest secret, so that
 * neither a chunk border nor a cut ever hides half of one.
 */
export class LineSplitter {
  #pending: Buffer = Buffer.alloc(0);

  constructor(readonly redactor: Redactor) {}

  push(chunk: Buffer): readonly LinePiece[] {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const pieces: LinePiece[] = [];
    let start = 0;
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
      cutLine(this.redactor.redact(bytes.subarray(start, end)), 0, pieces);
      start = end + 1;
    }
    this.#pending = Buffer.from(this.#cutLongRest(bytes.subarray(start), pieces));
    return pieces;
  }

  /** The stream has ended: what is left, if anything, is a line without its end. */
  finish(): readonly LinePiece[] {
    const pieces: LinePiece[] = [];
    if (this.#pending.length > 0) cutLine(this.redactor.redact(this.#pending), UNTERMINATED, pieces);
    this.#pending = Buffer.alloc(0);
    return pieces;
  }

  #cutLongRest(rest: Buffer, pieces: LinePiece[]): Buffer {
    const limit = MAX_PAYLOAD_BYTES + this.redactor.longestBytes;
    if (rest.length <= limit) return rest;
    let left = this.redactor.redact(rest);
    for (; left.length > limit; left = left.subarray(MAX_PAYLOAD_BYTES)) {
      pieces.push({ payload: left.subarray(0, MAX_PAYLOAD_BYTES), flags: PARTIAL });
    }
    return left;
  }
}

function cutLine(line: Buffer, lastFlags: number, pieces: LinePiece[]): void {
  let left = line;
  for (; left.length > MAX_PAYLOAD_BYTES; left = left.subarray(MAX_PAYLOAD_BYTES)) {
    pieces.push({ payload: left.subarray(0, MAX_PAYLOAD_BYTES), flags: PARTIAL });
  }
  pieces.push({ payload: left, flags: lastFlags });
}
