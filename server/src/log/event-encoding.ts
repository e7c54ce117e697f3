import { type EventSource, type RunEvent, RunEventSchema } from "@agent-manager/sdk/proto";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
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

/** Encodes an event once, as it is stored and forwarded. */
export function encodeEvent(event: NewEvent): EncodedEvent {
  const { occurTimeMs, source, event: content, ...rest } = event;
  const message = create(RunEventSchema, { ...rest, source, event: content, occurTime: timestampFromMs(occurTimeMs) });
  return { kind: kindNumbers.get(content.case ?? "") ?? 0, bytes: toBinary(RunEventSchema, message) };
}

export function decodeStoredEvent({ runId, sequence, position, recordTime, bytes }: StoredEvent): RunEvent {
  const event = fromBinary(RunEventSchema, bytes);
  return Object.assign(event, { runId, sequence, position, recordTime: timestampFromDate(recordTime) });
}
