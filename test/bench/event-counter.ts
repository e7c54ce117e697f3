/** The fields that are counted: WatchRunEventsResponse.batch and EventBatch.events, both number 1 and 2 on the wire. */
const BATCH_TAG = (2 << 3) | 2;
const EVENT_TAG = (1 << 3) | 2;

/** Counts the events in a gRPC stream of WatchRunEventsResponse by their lengths alone. */
export class EventCounter {
  messages = 0;
  events = 0;
  bytes = 0;
  #rest: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #missing = 0;

  /** Calls `onMessage` with each whole message and its gRPC prefix. */
  push(data: Buffer, onMessage?: (message: Buffer) => void): void {
    this.bytes += data.length;
    if (data.length < this.#missing) {
      this.#chunks.push(Buffer.from(data)); // the reader's buffer is used again
      this.#missing -= data.length;
      return;
    }
    const bytes = this.#chunks.length === 0 ? data : Buffer.concat([...this.#chunks, data]);
    this.#chunks = [];
    this.#cut(bytes, onMessage);
  }

  #cut(bytes: Buffer, onMessage?: (message: Buffer) => void): void {
    let at = 0;
    while (bytes.length - at >= 5) {
      const end = at + 5 + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      this.messages += 1;
      this.events += countEvents(bytes, at + 5, end);
      onMessage?.(Buffer.from(bytes.subarray(at, end)));
      at = end;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
    this.#missing = 0;
    if (this.#rest.length === 0) return;
    this.#chunks = [this.#rest];
    this.#missing = this.#rest.length >= 5 ? 5 + this.#rest.readUInt32BE(1) - this.#rest.length : 1;
  }
}

function countEvents(bytes: Buffer, start: number, end: number): number {
  if (start === end || bytes[start] !== BATCH_TAG) return 0;
  let { at } = readLength(bytes, start + 1);
  let events = 0;
  while (at < end) {
    const tag = bytes[at];
    const { at: content, length } = readLength(bytes, at + 1);
    at = tag === EVENT_TAG ? content + length : content; // the other field is a varint
    if (tag === EVENT_TAG) events += 1;
  }
  return events;
}

function readLength(bytes: Buffer, start: number): { readonly at: number; readonly length: number } {
  let length = 0;
  let factor = 1;
  for (let at = start; ; at += 1) {
    const byte = bytes[at] ?? 0;
    length += (byte & 127) * factor;
    if (byte < 128) return { at: at + 1, length };
    factor *= 128;
  }
}
