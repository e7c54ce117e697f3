import { setTimeout as sleep } from "node:timers/promises";
import {
  EventBatchSchema,
  EventDeltaSchema,
  EventKind,
  EventSource,
  RunSelectorSchema,
  RunState,
} from "@agent-manager/sdk/proto";
import { create, fromBinary } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { storeRun } from "../../../test/support/runs.js";
import { appendEvents, readLogHead, type StoredEvent } from "../store/run-events.js";
import { changeRun } from "../store/runs.js";
import { decodeStoredEvent, encodeEvent } from "./event-encoding.js";
import { chunkFrames } from "./event-frames.js";
import { type FollowEventsRequest, followEvents } from "./follow-events.js";
import type { FollowFrame } from "./log-follower.js";
import { LogHub } from "./log-hub.js";
import { LogWriter, placeEvents } from "./log-writer.js";

let database: TestDatabase;
let hub: LogHub;
let writer: LogWriter;
let abort: AbortController;
let offsets: Map<string, number>;
/** Where the log stood before the test. */
let base: bigint;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

beforeEach(async () => {
  hub = new LogHub();
  writer = new LogWriter({ db: database.db, hub, onRetry: () => {} });
  abort = new AbortController();
  offsets = new Map();
  base = (await readLogHead(database.db)).newestPosition;
});

afterEach(() => {
  abort.abort();
  writer.close();
});

function log(text: string) {
  const event = { case: "log" as const, value: { data: Buffer.from(text) } };
  return encodeEvent({ occurTimeMs: Date.now(), source: EventSource.RUNNER, event });
}

function entry(runId: string, texts: readonly string[]) {
  const fromOffset = offsets.get(runId) ?? 0;
  offsets.set(runId, fromOffset + 1);
  return { runId, epoch: 0n, fromOffset, toOffset: fromOffset + 1, events: texts.map(log) };
}

async function append(runId: string, ...texts: string[]): Promise<void> {
  await writer.append(entry(runId, texts));
}

/** As another server would: the hub of this one hears nothing. */
async function appendElsewhere(runId: string, ...texts: string[]): Promise<void> {
  await appendEvents(database.db, [entry(runId, texts)]);
}

/** A transition, which is published apart from what the writer publishes. */
async function move(runId: string, version: bigint, late: () => Promise<unknown> = async () => {}): Promise<void> {
  const value = { from: RunState.QUEUED, to: RunState.STARTING };
  const event = encodeEvent({
    occurTimeMs: Date.now(),
    source: EventSource.MANAGER,
    event: { case: "runStateChanged", value },
  });
  const set = { state: RunState.STARTING };
  const row = await changeRun(database.db, { runId, version, set, taskState: undefined, events: [event], epoch: null });
  await late();
  if (row) hub.publish(runId, placeEvents([event], row));
}

function follow(request: Partial<FollowEventsRequest> = {}): AsyncGenerator<FollowFrame> {
  const defaults = { start: { after: base }, logId: "", kinds: [], deltas: false, heartbeatIntervalMs: 60_000 };
  return followEvents({ ...defaults, ...request }, { db: database.db, hub, signal: abort.signal });
}

function labelled(labels: Record<string, string>) {
  return create(RunSelectorSchema, { labels });
}

function storeLabelled(name: string): Promise<string> {
  return storeRun(database.db, { labels: JSON.stringify({ name }) });
}

function eventsOf(frames: readonly FollowFrame[]): StoredEvent[] {
  return frames.flatMap((frame) => (frame.kind === "batch" ? frame.chunks.flat() : []));
}

/** Reads until that many events came. */
async function collect(frames: AsyncGenerator<FollowFrame>, count: number): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  while (events.length < count) {
    const { value, done } = await frames.next();
    if (done) break;
    events.push(...eventsOf([value]));
  }
  return events;
}

/** What the log holds of these runs, as the database has it. */
async function stored(runIds: readonly string[]): Promise<bigint[]> {
  const query = database.db.selectFrom("run_event").select("position").where("run_id", "in", runIds);
  return (await query.orderBy("position").execute()).map(({ position }) => position);
}

/** As retention does. */
async function trimTo(oldest: bigint): Promise<void> {
  await database.db.transaction().execute(async (tx) => {
    await sql`delete from run_event where position < ${oldest}`.execute(tx);
    await sql`update log_head set oldest_position = ${oldest}`.execute(tx);
  });
}

/** Far less than the followers' own poll. */
function withinMs<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  const late = sleep(limitMs, undefined, { ref: false }).then(() => {
    throw new Error(`it took longer than ${limitMs} ms`);
  });
  return Promise.race([promise, late]);
}

const positions = (events: readonly StoredEvent[]) => events.map(({ position }) => position);

/** Several writers at once, here and elsewhere, with transitions published late, in other runs too. */
async function writeAll(wanted: readonly string[], others: readonly string[], rounds: number): Promise<void> {
  const runs = [...wanted, ...others];
  const write = async (runId: string, index: number) => {
    for (let round = 0; round < rounds; round += 1) {
      if (round % 7 === index % 7) await appendElsewhere(runId, `${round}`);
      else if (round === 10) await move(runId, 1n, () => sleep(3));
      else await append(runId, `${round}`, `${round}'`);
    }
    await append(runId, "last");
  };
  await Promise.all(runs.map(write));
}

describe("a watch of all runs that a selector picks is", () => {
  test("Ordered and Unique and Complete, while writers here and elsewhere append to runs that match and others", async () => {
    const wanted = await Promise.all(["a", "b", "c"].map(() => storeLabelled("complete")));
    const others = await Promise.all(["x", "y"].map(() => storeRun(database.db)));
    const frames = follow({ selector: labelled({ name: "complete" }) });
    await frames.next();
    const writing = writeAll(wanted, others, 40);
    const late = (async () => {
      await sleep(20);
      const run = await storeLabelled("complete"); // matches later than the watch began
      await append(run, "late 1", "late 2");
      return run;
    })();
    const collected: StoredEvent[] = [];
    await Promise.all([writing, late]);
    const expected = await stored([...wanted, await late]);
    collected.push(...(await collect(frames, expected.length)));
    expect(positions(collected)).toEqual(expected);
  });

  test("Complete when it takes events as they come, with every run in it", async () => {
    const runs = await Promise.all(["a", "b", "c", "d"].map(() => storeRun(database.db)));
    const frames = follow();
    const collecting = (async () => {
      const events: StoredEvent[] = [];
      for await (const frame of frames) {
        events.push(...eventsOf([frame]));
        if (events.filter(({ bytes }) => Buffer.from(bytes).includes("last")).length === runs.length) return events;
      }
      return events;
    })();
    await writeAll(runs, [], 60);
    const head = await readLogHead(database.db);
    const expected = Array.from({ length: Number(head.newestPosition - base) }, (_, index) => base + BigInt(index + 1));
    expect(positions(await collecting)).toEqual(expected);
  });

  test("Resumable: after any position it gives exactly the rest", async () => {
    const [a, b] = [await storeLabelled("resumable"), await storeRun(database.db)];
    for (let round = 0; round < 6; round += 1) for (const run of [a, b, a]) await append(run, `${round}`);
    const all = await stored([a]);
    const head = await readLogHead(database.db);
    for (let after = base; after <= head.newestPosition; after += 1n) {
      const rest = all.filter((position) => position > after);
      const frames = follow({ selector: labelled({ name: "resumable" }), start: { after } });
      expect(positions(await collect(frames, rest.length))).toEqual(rest);
      await frames.return(undefined);
    }
  });

  test("Bookmarkable: a heartbeat carries how far it is, also when nothing matched", async () => {
    const run = await storeRun(database.db);
    await append(run, "a", "b", "c");
    const frames = follow({ selector: labelled({ name: "nobody" }), heartbeatIntervalMs: 50 });
    const seen: bigint[] = [];
    for await (const frame of frames) {
      expect(frame.kind).not.toBe("batch");
      if (frame.kind !== "heartbeat") continue;
      seen.push(frame.cursor);
      if (seen.length === 1) await append(run, "live");
      if (frame.cursor === base + 4n) break;
    }
    expect(seen[0]).toBe(base + 3n);
  });

  test("Immutable: the same event has the same bytes live, read later, and to whoever reads one run", async () => {
    const run = await storeLabelled("immutable");
    const live = follow({ selector: labelled({ name: "immutable" }) });
    await live.next();
    const first = live.next();
    await append(run, "same", "also");
    const liveChunks = (await first).value;
    const later = await collect(follow(), 2);
    expect(Buffer.from(chunkFrames(later))).toEqual(Buffer.from(chunkFrames(eventsOf([liveChunks]))));
    const batch = fromBinary(EventBatchSchema, Buffer.concat([Buffer.from([10]), chunkFrames(later)]));
    expect(batch.events).toEqual(later.map(decodeStoredEvent));
  });
});

describe("a watch of many runs", () => {
  test("picks by every field of the selector", async () => {
    const overrides = { runner: "codex", project_root: "/p", labels: JSON.stringify({ a: "1", b: "2" }) };
    const runId = await storeRun(database.db, overrides);
    await append(runId, "x");
    await append(await storeRun(database.db), "y");
    const picks = async (init: Parameters<typeof create<typeof RunSelectorSchema>>[1]) =>
      (await collect(follow({ selector: create(RunSelectorSchema, init) }), 1))[0]?.runId;
    for (const init of [{ runIds: [runId] }, { labels: { b: "2" } }, { projectRoot: "/p" }, { runner: "codex" }])
      expect(await picks(init)).toBe(runId);
  });

  test("from the tail on tells only of what comes after it was opened", async () => {
    const run = await storeRun(database.db);
    await append(run, "before");
    const frames = follow({ start: "tail" });
    expect((await frames.next()).value).toMatchObject({ kind: "opened", newest: base + 1n });
    await append(run, "after");
    expect(positions(await collect(frames, 1))).toEqual([base + 2n]);
  });

  test("of some kinds says at once that it has caught up when the last events do not match", async () => {
    const run = await storeRun(database.db);
    await move(run, 1n);
    await append(run, "a", "b");
    const frames = follow({ kinds: [EventKind.RUN_STATE_CHANGED] });
    await frames.next();
    expect((await frames.next()).value).toMatchObject({ kind: "batch", reachesTail: true });
    await frames.return(undefined);
    const none = follow({ kinds: [EventKind.MESSAGE] });
    await none.next();
    expect((await none.next()).value).toMatchObject({ kind: "heartbeat", cursor: base + 3n });
  });

  test("carries deltas of its runs only, for those who ask", async () => {
    const [mine, other] = [await storeLabelled("deltas"), await storeRun(database.db)];
    const frames = follow({ selector: labelled({ name: "deltas" }), deltas: true });
    await frames.next();
    const next = frames.next();
    await sleep(50); // until it waits
    for (const runId of [other, mine]) hub.publishDelta(create(EventDeltaSchema, { runId, text: runId }));
    expect((await next).value).toMatchObject({ kind: "delta", delta: { text: mine } });
  });

  test("finds at once what another server appended before the next event from here", async () => {
    const run = await storeRun(database.db);
    const frames = follow();
    await frames.next();
    const next = collect(frames, 2);
    await sleep(50); // until it waits
    await appendElsewhere(run, "elsewhere");
    await append(run, "here");
    expect(positions(await withinMs(1_000, next))).toEqual([base + 1n, base + 2n]);
  });

  test("takes a backlog of more than one message without waiting in between", async () => {
    const run = await storeRun(database.db);
    const frames = follow();
    await frames.next();
    const next = frames.next();
    await append(run, "first");
    const first = eventsOf([(await next).value]);
    for (let round = 0; round < 10; round += 1) await append(run, "x".repeat(100_000));
    const rest = await withinMs(1_000, collect(frames, 10));
    expect(positions([...first, ...rest])).toEqual(Array.from({ length: 11 }, (_, index) => base + BigInt(index + 1)));
  });

  test("goes on when the log is trimmed behind it", async () => {
    const run = await storeRun(database.db);
    await append(run, ...Array.from({ length: 2_500 }, (_, index) => `${index}`));
    const frames = follow();
    await frames.next();
    const seen = eventsOf([(await frames.next()).value]);
    await trimTo(base + 10n);
    const rest = await withinMs(3_000, collect(frames, 2_500 - seen.length));
    expect(positions(rest)[0]).toBe(base + BigInt(seen.length + 1));
    expect(rest).toHaveLength(2_500 - seen.length);
  });

  test("that stalls holds no events, and is complete when it goes on", async () => {
    const run = await storeRun(database.db);
    const frames = follow();
    await frames.next();
    const count = 12_000;
    for (let round = 0; round < 12; round += 1)
      await append(run, ...Array.from({ length: 1_000 }, () => "x".repeat(2_000)));
    const events = await collect(frames, count);
    expect(positions(events)).toEqual(Array.from({ length: count }, (_, index) => base + BigInt(index + 1)));
  });
});

describe("a watch of many runs is refused", () => {
  test("with a cursor ahead of the log", async () => {
    await expect(follow({ start: { after: base + 1n } }).next()).rejects.toMatchObject({ reason: "CURSOR_AHEAD" });
  });

  test("with a cursor of another log", async () => {
    const frames = follow({ logId: "00000000-0000-4000-8000-000000000000" });
    await expect(frames.next()).rejects.toMatchObject({ reason: "CURSOR_FOREIGN" });
  });

  test("with a cursor below what is kept, also while it is followed, naming how many events are lost", async () => {
    const run = await storeRun(database.db);
    await append(run, ...Array.from({ length: 2_500 }, (_, index) => `${index}`));
    const frames = follow();
    await frames.next();
    const seen = eventsOf([(await frames.next()).value]);
    const oldest = base + 2_400n;
    await trimTo(oldest);
    const lost = String(oldest - (base + BigInt(seen.length)) - 1n);
    const expired = { reason: "CURSOR_EXPIRED", values: { oldest_position: String(oldest), lost } };
    await expect(frames.next()).rejects.toMatchObject(expired);
    const again = follow({ start: { after: base + BigInt(seen.length) } });
    await expect(again.next()).rejects.toMatchObject(expired);
    expect(await collect(follow({ start: { after: oldest - 1n } }), 101)).toHaveLength(101);
  });
});
