import { EventBatchSchema, RunEventSchema } from "@agent-manager/sdk/proto";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { StoredEvent } from "../store/run-events.js";
import type { EventChunk } from "./recent-events.js";

/** EventBatch.events. */
export const eventsField = { no: EventBatchSchema.field.events.number, wireType: WireType.LengthDelimited };

const field = RunEventSchema.field;
const frameTag = tag(eventsField.no, eventsField.wireType);
const sequenceTag = tag(field.sequence.number, WireType.Varint);
const positionTag = tag(field.position.number, WireType.Varint);
/** More than what is put in front of an event's stored bytes ever takes. */
const MAX_HEAD_BYTES = 128;

const encoded = new WeakMap<EventChunk, Uint8Array>();

/**
 * A chunk as it stands in the field EventBatch.events, from behind the first tag on. Made once per chunk, whoever
 * asks: all watchers of a run that keep up send the same bytes.
 */
export function chunkFrames(chunk: EventChunk): Uint8Array {
  const known = encoded.get(chunk);
  if (known) return known;
  const frames = new FrameWriter(chunk).write();
  encoded.set(chunk, frames);
  return frames;
}

/**
 * What only the append knew is put in front of what is stored: the wire format lets fields come in any order, so
 * nothing is decoded. Written by hand into one buffer, since a writer per event costs as much as all the rest of
 * a replay.
 */
class FrameWriter {
  readonly #buffer: Buffer;
  #offset = 0;
  #runId = "";
  #runIdField: Uint8Array = new Uint8Array();
  #recordTimeMs = -1;
  #recordTimeField: Uint8Array = new Uint8Array();

  constructor(readonly chunk: EventChunk) {
    this.#buffer = Buffer.allocUnsafe(chunk.reduce((sum, { bytes }) => sum + bytes.length + MAX_HEAD_BYTES, 0));
  }

  write(): Uint8Array {
    for (const event of this.chunk) this.#writeEvent(event);
    return this.#buffer.subarray(1, this.#offset); // the first tag, one byte, is written by whoever sends this
  }

  #writeEvent(event: StoredEvent): void {
    this.#prepareFields(event);
    // exact: neither gets near 2^53
    const sequence = Number(event.sequence);
    const position = Number(event.position);
    const ownFields = this.#runIdField.length + this.#recordTimeField.length + event.bytes.length;
    this.#writeVarint(frameTag);
    this.#writeVarint(ownFields + 2 + varintSize(sequence) + varintSize(position));
    this.#writeBytes(this.#runIdField);
    this.#writeVarint(sequenceTag);
    this.#writeVarint(sequence);
    this.#writeVarint(positionTag);
    this.#writeVarint(position);
    this.#writeBytes(this.#recordTimeField);
    this.#writeBytes(event.bytes);
  }

  /** Neighbours mostly share their run and their append. */
  #prepareFields({ runId, recordTime }: StoredEvent): void {
    if (runId !== this.#runId) {
      this.#runId = runId;
      this.#runIdField = new BinaryWriter().tag(field.runId.number, WireType.LengthDelimited).string(runId).finish();
    }
    const recordTimeMs = recordTime.getTime();
    if (recordTimeMs !== this.#recordTimeMs) {
      this.#recordTimeMs = recordTimeMs;
      this.#recordTimeField = timestampField(field.recordTime.number, recordTimeMs);
    }
  }

  #writeVarint(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.#buffer[this.#offset++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#offset++] = rest;
  }

  #writeBytes(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#offset);
    this.#offset += bytes.length;
  }
}

function timestampField(number: number, ms: number): Uint8Array {
  const writer = new BinaryWriter().tag(number, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.Varint).int64(Math.floor(ms / 1000));
  writer.tag(2, WireType.Varint).int32((ms % 1000) * 1_000_000);
  return writer.join().finish();
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

function tag(number: number, wireType: WireType): number {
  return (number << 3) | wireType;
}
