import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { createClients } from "./clients.js";
import { DataLossError, OutOfRangeError, UnavailableError } from "./errors.js";
import {
  RunEventService,
  type WatchRunEventsRequest,
  WatchRunEventsResponseSchema,
} from "./gen/agent_manager/v1/run_event_service_pb.js";
import { RunState } from "./gen/agent_manager/v1/run_pb.js";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import type { EventsOptions } from "./watch-options.js";
import { watchRun } from "./watch-run.js";

type Frame = NonNullable<MessageInitShape<typeof WatchRunEventsResponseSchema>["frame"]>;

/** Plays one list of frames per connection; "silence" hangs, "cut" breaks the connection. */
function play(...connections: (Frame | "silence" | "cut" | ConnectError)[][]) {
  const requests: WatchRunEventsRequest[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(RunEventService, {
      async *watchRunEvents(request, { signal }) {
        requests.push(request);
        for (const step of connections[requests.length - 1] ?? ["cut"]) {
          if (step === "silence") {
            await new Promise((resolve) => signal.addEventListener("abort", resolve));
          } else if (step === "cut") {
            throw new ConnectError("ECONNRESET", Code.Aborted);
          } else if (step instanceof ConnectError) {
            throw step;
          } else {
            yield create(WatchRunEventsResponseSchema, { frame: step });
          }
        }
      },
    });
  });
  const collect = async (options: EventsOptions = {}) => {
    const sequences: number[] = [];
    const watch = watchRun(createClients(transport), {
      ...options,
      runId: "r",
      deltas: false,
      readState: async () => RunState.RUNNING,
    });
    for await (const batch of watch) {
      for (const frame of batch) {
        if (frame.kind === "event") {
          sequences.push(Number(frame.event.sequence));
        }
      }
    }
    return sequences;
  };
  return { requests, collect };
}

const opened: Frame = { case: "opened", value: { logId: "log-1", newestSequence: 9n, heartbeatIntervalMs: 20 } };
const end: Frame = { case: "endOfLog", value: { lastSequence: 9n } };
const batch = (...sequences: number[]): Frame => ({
  case: "batch",
  value: { events: sequences.map((sequence) => ({ sequence: BigInt(sequence), event: progress })) },
});
const progress = { case: "progress", value: {} } as const;

test("what comes again after a reconnect is delivered once, and the cursor follows", async () => {
  const { requests, collect } = play(
    [opened, batch(1, 2), "cut"],
    [opened, batch(2, 3), batch(4), "cut"],
    [opened, end],
  );
  expect(await collect()).toEqual([1, 2, 3, 4]);
  expect(requests.map((request) => [Number(request.afterSequence), request.logId])).toEqual([
    [0, ""],
    [2, "log-1"],
    [4, "log-1"],
  ]);
});

test("a stream that ends without the end of the log is taken up again", async () => {
  const { collect } = play([opened, batch(1)], [opened, batch(2), end]);
  expect(await collect()).toEqual([1, 2]);
});

test("a silent stream is abandoned after two and a half heartbeats", async () => {
  const lost: string[] = [];
  const { collect } = play([opened, batch(1), "silence"], [opened, batch(2), end]);
  const started = Date.now();
  expect(await collect({ heartbeatIntervalMs: 40, onReconnect: ({ error }) => lost.push(error.message) })).toEqual([
    1, 2,
  ]);
  expect(Date.now() - started).toBeGreaterThanOrEqual(100);
  expect(lost).toEqual(["the service was silent for 100 ms"]);
});

test("a gap is an error that names both sides", async () => {
  const { collect } = play([opened, batch(1, 3), end]);
  await expect(collect()).rejects.toThrow("event 3 came after event 1");
  await expect(play([opened, batch(1, 3), end]).collect()).rejects.toBeInstanceOf(DataLossError);
});

test("a filtered watch has gaps, and goes on after the sequence of its heartbeat", async () => {
  const heartbeat: Frame = { case: "heartbeat", value: { sequence: 8n } };
  const { requests, collect } = play([opened, batch(2, 5), heartbeat, "cut"], [opened, end]);
  expect(await collect({ kinds: [36], until: "ended" })).toEqual([2, 5]);
  expect(requests[1]?.afterSequence).toBe(8n);
});

test("an unknown kind is skipped if it may be, and an error otherwise", async () => {
  const unknown = (skippable: boolean): Frame => ({ case: "batch", value: { events: [{ sequence: 1n, skippable }] } });
  expect(await play([opened, unknown(true), batch(2), end]).collect()).toEqual([2]);
  await expect(play([opened, unknown(false), end]).collect()).rejects.toThrow("does not know; update the SDK");
});

test("a cursor outside the log is not retried", async () => {
  const expired = new ConnectError("3 events are lost", Code.OutOfRange, undefined, [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason: "CURSOR_EXPIRED" }) },
  ]);
  const { requests, collect } = play([expired]);
  await expect(collect({ after: 1 })).rejects.toBeInstanceOf(OutOfRangeError);
  expect(requests).toHaveLength(1);
});

test("a service that stays away is given up in the end", async () => {
  const attempts: number[] = [];
  const { collect } = play();
  await expect(
    collect({ giveUpAfterMs: 200, onReconnect: ({ attempt }) => attempts.push(attempt) }),
  ).rejects.toBeInstanceOf(UnavailableError);
  expect(attempts.slice(0, 3)).toEqual([1, 2, 3]);
});
