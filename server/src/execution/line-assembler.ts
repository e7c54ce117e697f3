import { PARTIAL, UNTERMINATED } from "./spool/record.js";

/** A longer line is no frame of any protocol; its pieces are kept as log events. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

export type AssembledLine =
  | { readonly kind: "line"; readonly line: Buffer }
  /** A piece of a line that is too long to be given as a whole. */
  | { readonly kind: "piece"; readonly data: Buffer; readonly partial: boolean };

/** Joins the partial records of one stream to lines. */
export class LineAssembler {
  #parts: Buffer[] = [];
  #bytes = 0;
  #oversized = false;

  push(payload: Buffer, flags: number): readonly AssembledLine[] {
    const partial = (flags & PARTIAL) !== 0;
    if (this.#oversized) return this.#piece(payload, partial);
    this.#parts.push(payload);
    this.#bytes += payload.length;
    if (this.#bytes > MAX_LINE_BYTES) return this.#giveUp(partial);
    if (partial) return [];
    const line = this.#parts.length === 1 ? payload : Buffer.concat(this.#parts);
    this.#reset(false);
    return flags & UNTERMINATED && line.length === 0 ? [] : [{ kind: "line", line }];
  }

  #giveUp(partial: boolean): readonly AssembledLine[] {
    const parts = this.#parts;
    this.#reset(partial);
    return parts.map((data, index) => ({ kind: "piece", data, partial: partial || index < parts.length - 1 }));
  }

  #piece(data: Buffer, partial: boolean): readonly AssembledLine[] {
    this.#oversized = partial;
    return [{ kind: "piece", data, partial }];
  }

  #reset(oversized: boolean): void {
    this.#parts = [];
    this.#bytes = 0;
    this.#oversized = oversized;
  }
}
