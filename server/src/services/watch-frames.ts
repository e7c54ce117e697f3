import {
  EventBatchSchema,
  type WatchEventsResponseSchema,
  type WatchRunEventsResponseSchema,
} from "@agent-manager/sdk/proto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { decodeStoredEvent } from "../log/event-encoding.js";
import { chunkFrames, eventsField } from "../log/event-frames.js";
import type { FollowRunFrame } from "../log/follow-run.js";
import type { FollowFrame } from "../log/log-follower.js";
import type { EventChunk } from "../log/recent-events.js";

type RunFrame = NonNullable<MessageInitShape<typeof WatchRunEventsResponseSchema>["frame"]>;
type EventsFrame = NonNullable<MessageInitShape<typeof WatchEventsResponseSchema>["frame"]>;

export interface FrameOptions {
  readonly heartbeatIntervalMs: number;
  readonly encodeBatch: BatchEncoder;
}

export type BatchEncoder = (
  chunks: readonly EventChunk[],
  reachesTail: boolean,
) => MessageInitShape<typeof EventBatchSchema>;

/** A frame of one run's watch, whose cursor is a sequence. */
export function runFrame(frame: FollowRunFrame, options: FrameOptions): RunFrame {
  switch (frame.kind) {
    case "opened":
      return { case: "opened", value: { ...opened(frame, options), newestSequence: frame.newest } };
    case "heartbeat": {
      const { cursor: sequence, position } = frame;
      return { case: "heartbeat", value: { sequence, position, time: timestampNow() } };
    }
    case "endOfLog":
      return { case: "endOfLog", value: { lastSequence: frame.lastSequence } };
    default:
      return liveFrame(frame, options);
  }
}

/** A frame of the watch of many runs, whose cursor is a position. */
export function eventsFrame(frame: FollowFrame, options: FrameOptions): EventsFrame {
  switch (frame.kind) {
    case "opened":
      return { case: "opened", value: opened(frame, options) };
    case "heartbeat":
      return { case: "heartbeat", value: { position: frame.cursor, time: timestampNow() } };
    default:
      return liveFrame(frame, options);
  }
}

function opened({ head }: Extract<FollowFrame, { kind: "opened" }>, { heartbeatIntervalMs }: FrameOptions) {
  return { ...head, heartbeatIntervalMs };
}

function liveFrame(frame: Extract<FollowFrame, { kind: "batch" | "delta" }>, { encodeBatch }: FrameOptions) {
  switch (frame.kind) {
    case "batch":
      return { case: "batch", value: encodeBatch(frame.chunks, frame.reachesTail) } as const;
    case "delta":
      return { case: "delta", value: frame.delta } as const;
    default:
      return frame satisfies never;
  }
}

/**
 * Binary codecs get the encoded chunks as they are, as unknown fields with the number of EventBatch.events, which
 * is many times faster than decoding and encoding events; JSON needs real messages.
 */
export function batchEncoder({ requestHeader }: HandlerContext): BatchEncoder {
  const json = /json/.test(requestHeader.get("content-type") ?? "");
  if (json) return (chunks, reachesTail) => ({ events: chunks.flat().map(decodeStoredEvent), reachesTail });
  return (chunks, reachesTail) => {
    const batch = create(EventBatchSchema, { reachesTail });
    batch.$unknown = chunks.map((chunk) => ({ ...eventsField, data: chunkFrames(chunk) }));
    return batch;
  };
}
