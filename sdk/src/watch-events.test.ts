import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { createClients } from "./clients.js";
import {
  EventKind,
  RunEventService,
  type WatchEventsRequest,
  WatchEventsResponseSchema,
} from "./gen/agent_manager/v1/run_event_service_pb.js";
import { watchEvents } from "./watch-events.js";
import type { WatchBookmark, WatchEventsOptions } from "./watch-options.js";

type Frame = NonNullable<MessageInitShape<typeof WatchEventsResponseSchema>["frame"]>;

/** Plays one list of frames per connection, each cut at its end; ends the watch after that many events. */
function play(...connections: Frame[][]) {
  const requests: WatchEventsRequest[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(RunEventService, {
      async *watchEvents(request) {
        requests.push(request);
        for (const frame of connections[requests.length - 1] ?? []) {
          yield create(WatchEventsResponseSchema, { frame });
        }
        throw new ConnectError("ECONNRESET", Code.Aborted);
      },
    });
  });
  const collect = async (count: number, options: WatchEventsOptions = {}) => {
    const positions: number[] = [];
    for await (const event of watchEvents(createClients(transport), {}, options)) {
      positions.push(Number(event.position));
      if (positions.length === count) {
        break;
      }
    }
    return positions;
  };
  return { requests, collect };
}

const opened: Frame = { case: "opened", value: { logId: "log-1", newestPosition: 7n, heartbeatIntervalMs: 1_000 } };
/** Events as [position, run, sequence]. */
const batch = (...events: [number, string, number][]): Frame => ({
  case: "batch",
  value: {
    events: events.map(([position, runId, sequence]) => ({
      position: BigInt(position),
      runId,
      sequence: BigInt(sequence),
      event: { case: "progress", value: {} },
    })),
  },
});
const heartbeat = (position: number): Frame => ({ case: "heartbeat", value: { position: BigInt(position) } });

test("events of many runs come once and in order across reconnects, which start after the last one", async () => {
  const { requests, collect } = play(
    [opened, batch([2, "a", 1], [3, "b", 1])],
    [opened, batch([3, "b", 1], [6, "a", 2]), heartbeat(9)],
    [opened, batch([11, "b", 2])],
  );
  expect(await collect(4)).toEqual([2, 3, 6, 11]);
  expect(requests.map(({ start, logId }) => [Number(start.value), logId])).toEqual([
    [0, ""],
    [3, "log-1"],
    [9, "log-1"],
  ]);
});

test("a watch from now on is taken up where it started, not at a later now", async () => {
  const { requests, collect } = play([opened], [opened, batch([8, "a", 5])]);
  expect(await collect(1, { after: "now" })).toEqual([8]);
  expect(requests.map(({ start }) => start)).toEqual([
    { case: "atTail", value: true },
    { case: "afterPosition", value: 7n },
  ]);
});

test("a bookmark is told after its events were handled, and starts the next watch with its log", async () => {
  const { collect } = play([opened, batch([2, "a", 1], [3, "b", 1]), heartbeat(5), batch([6, "a", 2])]);
  const bookmarks: WatchBookmark[] = [];
  await collect(3, { onBookmark: (bookmark) => bookmarks.push(bookmark) });
  expect(bookmarks.map(({ position }) => Number(position))).toEqual([0, 3, 5]);
  const next = play([opened, batch([6, "a", 2])]);
  await next.collect(1, { after: { logId: "log-1", position: 5n } });
  expect(next.requests[0]).toMatchObject({ logId: "log-1", start: { value: 5n } });
});

test("a gap in a run is an error, but not in a watch of some kinds", async () => {
  const frames = [opened, batch([2, "a", 1], [9, "a", 3])];
  await expect(play(frames).collect(2)).rejects.toThrow("the log of run a has a gap: event 3 came after event 1");
  expect(await play(frames).collect(2, { kinds: [EventKind.PROGRESS] })).toEqual([2, 9]);
});

test("the caller's signal ends the watch with its reason", async () => {
  const watching = play([opened]).collect(1, { signal: AbortSignal.timeout(100) });
  await expect(watching).rejects.toThrow("timeout");
});
