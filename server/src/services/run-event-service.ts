import {
  ListRunEventsResponseSchema,
  type RunEventService,
  type RunSelector,
  type WatchEventsRequest,
  WatchEventsResponseSchema,
  WatchRunEventsResponseSchema,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { DomainError, invalidRequest } from "../domain/errors.js";
import { decodeStoredEvent } from "../log/event-encoding.js";
import { type FollowEventsRequest, followEvents } from "../log/follow-events.js";
import { followRun } from "../log/follow-run.js";
import type { LogHub } from "../log/log-hub.js";
import { readRunEvents } from "../store/run-events.js";
import { readRunProgress } from "../store/runs.js";
import type { Db } from "../store/schema.js";
import { batchEncoder, eventsFrame, runFrame } from "./watch-frames.js";

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
      const heartbeatIntervalMs = heartbeatInterval(request);
      const options = { heartbeatIntervalMs, encodeBatch: batchEncoder(context) };
      for await (const frame of followRun({ ...request, heartbeatIntervalMs }, { db, hub, signal: context.signal })) {
        yield create(WatchRunEventsResponseSchema, { frame: runFrame(frame, options) });
      }
    },

    async *watchEvents(request, context) {
      checkSelector(request.selector);
      const heartbeatIntervalMs = heartbeatInterval(request);
      const options = { heartbeatIntervalMs, encodeBatch: batchEncoder(context) };
      const follow = { ...request, start: startOf(request), heartbeatIntervalMs };
      for await (const frame of followEvents(follow, { db, hub, signal: context.signal })) {
        yield create(WatchEventsResponseSchema, { frame: eventsFrame(frame, options) });
      }
    },
  };
}

function heartbeatInterval(request: { readonly heartbeatIntervalMs: number }): number {
  return Math.max(request.heartbeatIntervalMs || DEFAULT_HEARTBEAT_MS, MIN_HEARTBEAT_MS);
}

/** A run comes into a state and leaves it: with one in the selector no cursor could say what was sent. */
function checkSelector(selector: RunSelector | undefined): void {
  if (selector === undefined || selector.states.length === 0) return;
  const description =
    "a watch picks runs by what does not change; leave states out and ask for RUN_STATE_CHANGED events";
  throw invalidRequest({ field: "selector.states", description });
}

function startOf({ start }: WatchEventsRequest): FollowEventsRequest["start"] {
  if (start.case === "atTail" && start.value) return "tail";
  return { after: start.case === "afterPosition" ? start.value : 0n };
}

/** A page token of this list is the last sequence: the run is named by the request and sequences never move. */
function readPageToken(token: string): bigint | undefined {
  if (token === "") return undefined;
  if (/^\d{1,18}$/.test(token)) return BigInt(token);
  throw new DomainError("PAGE_TOKEN_INVALID", { page_token: token });
}
