import {
  EventBatchSchema,
  ListRunEventsResponseSchema,
  type RunEventService,
  type WatchRunEventsResponse,
  WatchRunEventsResponseSchema,
} from "@agent-manager/sdk/proto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { DomainError } from "../domain/errors.js";
import { decodeStoredEvent, wholeEventBytes } from "../log/event-encoding.js";
import { type FollowFrame, followRun } from "../log/follow-run.js";
import type { LogHub } from "../log/log-hub.js";
import { readRunEvents, type StoredEvent } from "../store/run-events.js";
import { readRunProgress } from "../store/runs.js";
import type { Db } from "../store/schema.js";

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1_000;
const DEFAULT_HEARTBEAT_MS = 15_000;
const MIN_HEARTBEAT_MS = 1_000;

export interface RunEventServiceOptions {
  readonly db: Db;
  readonly hub: LogHub;
}

export function createRunEventService({
  db,
  hub,
}: RunEventServiceOptions): Partial<ServiceImpl<typeof RunEventService>> {
  return {
    async listRunEvents({ runId, pageSize, pageToken, afterSequence, kinds }) {
      if (!(await readRunProgress(db, runId))) throw new DomainError("RUN_NOT_FOUND", { run_id: runId });
      const limit = Math.min(pageSize || DEFAULT_PAGE, MAX_PAGE);
      const after = readPageToken(pageToken) ?? afterSequence;
      const events = await readRunEvents(db, { runId, afterSequence: after, kinds, limit: limit + 1 });
      const page = events.slice(0, limit);
      const last = page.at(-1);
      return create(ListRunEventsResponseSchema, {
        events: page.map(decodeStoredEvent),
        nextPageToken: events.length > limit && last ? String(last.sequence) : "",
      });
    },

    async *watchRunEvents(request, context) {
      const heartbeatIntervalMs = Math.max(request.heartbeatIntervalMs || DEFAULT_HEARTBEAT_MS, MIN_HEARTBEAT_MS);
      const encodeBatch = batchEncoder(context);
      const { signal } = context;
      for await (const frame of followRun({ ...request, heartbeatIntervalMs }, { db, hub, signal })) {
        yield frameMessage(frame, heartbeatIntervalMs, encodeBatch);
      }
    },
  };
}

type BatchEncoder = (events: readonly StoredEvent[], reachesTail: boolean) => MessageInitShape<typeof EventBatchSchema>;

function frameMessage(
  frame: FollowFrame,
  heartbeatIntervalMs: number,
  encodeBatch: BatchEncoder,
): WatchRunEventsResponse {
  switch (frame.kind) {
    case "opened": {
      const { logId, oldestPosition, newestPosition } = frame.head;
      const newestSequence = frame.newestSequence;
      const value = { logId, oldestPosition, newestPosition, newestSequence, heartbeatIntervalMs };
      return create(WatchRunEventsResponseSchema, { frame: { case: "opened", value } });
    }
    case "batch": {
      const value = encodeBatch(frame.events, frame.reachesTail);
      return create(WatchRunEventsResponseSchema, { frame: { case: "batch", value } });
    }
    case "delta":
      return create(WatchRunEventsResponseSchema, { frame: { case: "delta", value: frame.delta } });
    case "heartbeat": {
      const value = { sequence: frame.sequence, position: frame.position, time: timestampNow() };
      return create(WatchRunEventsResponseSchema, { frame: { case: "heartbeat", value } });
    }
    case "endOfLog": {
      const value = { lastSequence: frame.lastSequence };
      return create(WatchRunEventsResponseSchema, { frame: { case: "endOfLog", value } });
    }
    default:
      return frame satisfies never;
  }
}

/**
 * Binary codecs get the stored bytes as they are, as unknown fields with the number of EventBatch.events, which
 * is several times faster than decoding and encoding them; JSON needs real messages.
 */
function batchEncoder({ requestHeader }: HandlerContext): BatchEncoder {
  const json = /json/.test(requestHeader.get("content-type") ?? "");
  if (json) return (events, reachesTail) => ({ events: events.map(decodeStoredEvent), reachesTail });
  const no = EventBatchSchema.field.events.number;
  return (events, reachesTail) => {
    const batch = create(EventBatchSchema, { reachesTail });
    batch.$unknown = events.map((event) => ({ no, wireType: 2, data: lengthPrefixed(wholeEventBytes(event)) }));
    return batch;
  };
}

function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  return new BinaryWriter().bytes(bytes).finish();
}

/** A page token of this list is the last sequence: the run is named by the request and sequences never move. */
function readPageToken(token: string): bigint | undefined {
  if (token === "") return undefined;
  if (/^\d{1,18}$/.test(token)) return BigInt(token);
  throw new DomainError("PAGE_TOKEN_INVALID", { page_token: token });
}
