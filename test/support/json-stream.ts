/** One message of Connect's streaming protocol in JSON; the last one of a stream carries its error, if any. */
export interface JsonFrame {
  readonly last: boolean;
  readonly content: Readonly<Record<string, unknown>>;
}

const PREFIX_BYTES = 5;
const LAST_FLAG = 0b10;

/** Puts the length prefix before a message. */
export function envelope(message: unknown): Uint8Array<ArrayBuffer> {
  const payload = Buffer.from(JSON.stringify(message));
  const bytes = new Uint8Array(PREFIX_BYTES + payload.length);
  new DataView(bytes.buffer).setUint32(1, payload.length);
  bytes.set(payload, PREFIX_BYTES);
  return bytes;
}

/** The messages of a response as they come. */
export async function* readFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<JsonFrame> {
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = frameEnd(rest); end <= rest.length; end = frameEnd(rest)) {
      const last = ((rest[0] ?? 0) & LAST_FLAG) !== 0;
      yield { last, content: JSON.parse(rest.subarray(PREFIX_BYTES, end).toString()) };
      rest = rest.subarray(end);
    }
  }
}

function frameEnd(bytes: Buffer): number {
  return bytes.length < PREFIX_BYTES ? Number.POSITIVE_INFINITY : PREFIX_BYTES + bytes.readUInt32BE(1);
}
