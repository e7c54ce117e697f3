import { type EventSource, type RunEvent, RunEventSchema } from "@agent-manager/sdk/proto";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { EncodedEvent, StoredEvent } from "../store/run-events.js";

/** An event before the log has placed it: no run_id, sequence, position or record_time. */
export interface NewEvent {
  readonly occurTimeMs: number;
  readonly turn?: number;
  readonly itemId?: string;
  readonly parentItemId?: string;
  readonly source: EventSource;
  readonly event: NonNullable<MessageInitShape<typeof RunEventSchema>["event"]>;
  readonly runnerIds?: Partial<Omit<NonNullable<RunEvent["runnerIds"]>, "$typeName">>;
  readonly skippable?: boolean;
}

const kindNumbers: ReadonlyMap<string, number> = new Map(
  RunEventSchema.fields
    .filter((field) => field.oneof?.name === "event")
    .map((field) => [field.localName, field.number]),
);

const fieldNumbers = {
  runId: RunEventSchema.field.runId.number,
  sequence: RunEventSchema.field.sequence.number,
  position: RunEventSchema.field.position.number,
  recordTime: RunEventSchema.field.recordTime.number,
};

/** Encodes an event once, as it is stored and forwarded. */
export function encodeEvent(event: NewEvent): EncodedEvent {
  const { occurTimeMs, source, event: content, ...rest } = event;
  const message = create(RunEventSchema, { ...rest, source, event: content, occurTime: timestampFromMs(occurTimeMs) });
  return { kind: kindNumbers.get(content.case ?? "") ?? 0, bytes: toBinary(RunEventSchema, message) };
}

/**
 * The whole event's bytes: what only the append knew is put in front of what is stored. The wire format lets
 * fields come in any order, so nothing is decoded.
 */
export function wholeEventBytes(stored: StoredEvent): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(fieldNumbers.runId, WireType.LengthDelimited).string(stored.runId);
  writer.tag(fieldNumbers.sequence, WireType.Varint).int64(stored.sequence);
  writer.tag(fieldNumbers.position, WireType.Varint).int64(stored.position);
  writer.tag(fieldNumbers.recordTime, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.Varint).int64(Math.floor(stored.recordTime.getTime() / 1000));
  writer.tag(2, WireType.Varint).int32((stored.recordTime.getTime() % 1000) * 1_000_000);
  writer.join().raw(stored.bytes);
  return writer.finish();
}

export function decodeStoredEvent(stored: StoredEvent): RunEvent {
  return fromBinary(RunEventSchema, wholeEventBytes(stored));
}
