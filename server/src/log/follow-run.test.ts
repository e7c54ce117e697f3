import { EventKind, EventSource, RunState } from "@agent-manager/sdk/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { storeRun } from "../../../test/support/runs.js";
import { appendEvents, type StoredEvent } from "../store/run-events.js";
import { changeRun } from "../store/runs.js";
import { encodeEvent } from "./event-encoding.js";
import { type FollowRunFrame, type FollowRunRequest, followRun } from "./follow-run.js";
import { LogHub } from "./log-hub.js";
import { LogWriter, placeEvents } from "./log-writer.js";

let database: TestDatabase;
let hub: LogHub;
let writer: LogWriter;
let runId: string;
let offset: number;
let abort: AbortController;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

beforeEach(async () => {
  hub = new LogHub();
  writer = new LogWriter({ db: database.db, hub, onRetry: () => {} });
  runId = await storeRun(database.db);
  offset = 0;
  abort = new AbortController();
});

afterEach(() => {
  abort.abort();
  writer.close();
});

function log(text: string) {
  const event = { case: "log" as const, value: { data: Buffer.from(text) } };
  return encodeEvent({ occurTimeMs: Date.now(), source: EventSource.RUNNER, event });
}

async function append(...texts: string[]): Promise<void> {
  const fromOffset = offset;
  offset += 1;
  await writer.append({ runId, epoch: 0n, fromOffset, toOffset: offset, events: texts.map(log) });
}

/** As another server would: the hub of this one hears nothing. */
async function appendElsewhere(...texts: string[]): Promise<void> {
  const fromOffset = offset;
  offset += 1;
  await appendEvents(database.db, [{ runId, epoch: 0n, fromOffset, toOffset: offset, events: texts.map(log) }]);
}

async function end(): Promise<void> {
  const value = { from: RunState.QUEUED, to: RunState.COMPLETED };
  const event = encodeEvent({
    occurTimeMs: Date.now(),
    source: EventSource.MANAGER,
    event: { case: "runStateChanged", value },
  });
  const set = { state: RunState.COMPLETED };
  const change = { runId, version: 1n, set, taskState: undefined, events: [event], epoch: null };
  const row = await changeRun(database.db, change);
  if (row) hub.publish(runId, placeEvents([event], row));
}

function follow(request: Partial<FollowRunRequest> = {}): AsyncGenerator<FollowRunFrame> {
  const defaults = { runId, afterSequence: 0n, logId: "", kinds: [], deltas: false, heartbeatIntervalMs: 60_000 };
  return followRun({ ...defaults, ...request }, { db: database.db, hub, signal: abort.signal });
}

async function drain(frames: AsyncGenerator<FollowRunFrame>): Promise<FollowRunFrame[]> {
  const all: FollowRunFrame[] = [];
  for await (const frame of frames) all.push(frame);
  return all;
}

function eventsOf(frames: readonly FollowRunFrame[]): StoredEvent[] {
  return frames.flatMap((frame) => (frame.kind === "batch" ? frame.chunks.flat() : []));
}

function sequences(frames: readonly FollowRunFrame[]): number[] {
  return eventsOf(frames).map(({ sequence }) => Number(sequence));
}

describe("a watch of a run is", () => {
  test("Ordered and Unique and Complete, while events are stored, live, and appended by another server", async () => {
    await append("stored 1", "stored 2");
    const frames = drain(follow());
    for (let round = 0; round < 40; round += 1)
      await (round % 5 === 0 ? appendElsewhere : append)(`${round}`, `${round}'`);
    await end();
    expect(sequences(await frames)).toEqual(Array.from({ length: 83 }, (_, index) => index + 1));
  });

  test("Resumable: from any sequence it gives exactly the rest", async () => {
    await append(...Array.from({ length: 20 }, (_, index) => `${index}`));
    await end();
    for (let after = 0; after <= 21; after += 1) {
      const frames = await drain(follow({ afterSequence: BigInt(after) }));
      expect(sequences(frames)).toEqual(Array.from({ length: 21 - after }, (_, index) => after + index + 1));
    }
  });

  test("Bookmarkable: a heartbeat carries how far it is, also when nothing matched", async () => {
    await append("a", "b", "c");
    const frames = follow({ kinds: [EventKind.MESSAGE], heartbeatIntervalMs: 50 });
    for await (const frame of frames) {
      expect(frame.kind).not.toBe("batch");
      if (frame.kind !== "heartbeat") continue;
      expect(frame.cursor).toBe(3n);
      break;
    }
  });

  test("Immutable: the same event has the same bytes live and read later", async () => {
    const live = follow();
    await live.next();
    const first = live.next();
    await append("same");
    const batch = (await first).value;
    const [stored] = eventsOf([batch]);
    await live.return(undefined);
    await end();
    const [later] = eventsOf(await drain(follow()));
    expect({ ...later, bytes: Buffer.from(later?.bytes ?? []) }).toEqual({
      ...stored,
      bytes: Buffer.from(stored?.bytes ?? []),
    });
  });

  test("Ending: after the last event it says so and ends", async () => {
    await append("a");
    await end();
    const frames = await drain(follow());
    expect(frames.at(-1)).toEqual({ kind: "endOfLog", lastSequence: 2n });
    expect(frames.filter(({ kind }) => kind === "endOfLog")).toHaveLength(1);
  });

  test("opened at once, before there is any event", async () => {
    expect((await follow().next()).value).toMatchObject({ kind: "opened", newest: 0n });
  });

  test("kept in bounded memory when its reader stalls, and still complete", async () => {
    const frames = follow();
    await frames.next();
    for (let round = 0; round < 30; round += 1) await append(...Array.from({ length: 50 }, () => "x".repeat(1_000)));
    await end();
    expect(sequences(await drain(frames))).toEqual(Array.from({ length: 1_501 }, (_, index) => index + 1));
  });
});

describe("a watch is refused", () => {
  test("for a run that does not exist", async () => {
    const frames = follow({ runId: "00000000-0000-7000-8000-000000000000" });
    await expect(frames.next()).rejects.toMatchObject({ reason: "RUN_NOT_FOUND" });
  });

  test("with a cursor ahead of the log", async () => {
    await append("a");
    await expect(follow({ afterSequence: 2n }).next()).rejects.toMatchObject({ reason: "CURSOR_AHEAD" });
  });

  test("with a cursor of another log", async () => {
    const frames = follow({ logId: "00000000-0000-4000-8000-000000000000" });
    await expect(frames.next()).rejects.toMatchObject({ reason: "CURSOR_FOREIGN" });
  });
});
