import { Code, ConnectError } from "@connectrpc/connect";
import { DomainError } from "../domain/errors.js";

interface LimitedBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** True if each message has a 5 byte prefix with its length: every protocol but Connect's unary one. */
  readonly enveloped: boolean;
  readonly limitBytes: number;
}

/** Whether a request's messages have a length prefix, by its content type. */
export function isEnveloped(contentType: string | undefined): boolean {
  return /^application\/(grpc|connect\+)/i.test(contentType ?? "");
}

/**
 * Passes a request's body on and ends it with MESSAGE_TOO_LARGE as soon as a message is announced or turns out to
 * be too large. Connect has such a limit too, but raises it before interceptors run, without a reason.
 */
export async function* limitMessages({ chunks, enveloped, limitBytes }: LimitedBody): AsyncGenerator<Uint8Array> {
  const meter = enveloped ? new EnvelopeMeter() : new BodyMeter();
  for await (const chunk of untilHangup(chunks)) {
    const sizeBytes = meter.add(chunk);
    if (sizeBytes > limitBytes) throw tooLarge(sizeBytes, limitBytes);
    yield chunk;
  }
}

async function* untilHangup(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    // Node says ECONNRESET or "aborted": it is the caller's connection, not one of ours.
    throw new ConnectError("the call was cancelled", Code.Canceled, undefined, undefined, error);
  }
}

function tooLarge(sizeBytes: number, limitBytes: number): DomainError {
  return new DomainError("MESSAGE_TOO_LARGE", { size_bytes: `${sizeBytes}`, limit_bytes: `${limitBytes}` });
}

interface Meter {
  /** Takes the next chunk and returns the size of the largest message known by now. */
  add(chunk: Uint8Array): number;
}

class BodyMeter implements Meter {
  #sizeBytes = 0;

  add(chunk: Uint8Array): number {
    this.#sizeBytes += chunk.length;
    return this.#sizeBytes;
  }
}

/** Follows the prefixes (1 byte flags, 4 bytes length) through chunks that are cut anywhere. */
class EnvelopeMeter implements Meter {
  #prefix: number[] = [];
  #payloadLeft = 0;
  #largest = 0;

  add(chunk: Uint8Array): number {
    for (let offset = 0; offset < chunk.length; ) {
      if (this.#payloadLeft > 0) offset += this.#skip(chunk.length - offset);
      else this.#takePrefixByte(chunk[offset++] ?? 0);
    }
    return this.#largest;
  }

  #skip(available: number): number {
    const skipped = Math.min(this.#payloadLeft, available);
    this.#payloadLeft -= skipped;
    return skipped;
  }

  #takePrefixByte(byte: number): void {
    this.#prefix.push(byte);
    if (this.#prefix.length < 5) return;
    this.#payloadLeft = Buffer.from(this.#prefix).readUInt32BE(1);
    this.#largest = Math.max(this.#largest, this.#payloadLeft);
    this.#prefix = [];
  }
}
