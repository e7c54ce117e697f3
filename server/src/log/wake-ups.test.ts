import { setTimeout as sleep } from "node:timers/promises";
import { EventSource } from "@agent-manager/sdk/proto";
import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { silent } from "../../../test/support/postgres-cluster.js";
import { storeRun } from "../../../test/support/runs.js";
import { appendEvents } from "../store/run-events.js";
import { encodeEvent } from "./event-encoding.js";
import { LogHub } from "./log-hub.js";
import { LogWriter } from "./log-writer.js";
import { WakeUps } from "./wake-ups.js";

let database: TestDatabase;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** The part of a server that has to do with watchers. */
function startServer() {
  const { db, pool } = database;
  const hub = new LogHub();
  const writer = new LogWriter({ db, hub, onRetry: () => {} });
  const wakeUps = new WakeUps({ db, pool, hub, log: silent });
  wakeUps.start();
  closing.push(() => wakeUps.close());
  return { hub, writer };
}

function entry(runId: string, offset: number) {
  const event = { case: "log" as const, value: { data: Buffer.from("x") } };
  const events = [encodeEvent({ occurTimeMs: Date.now(), source: EventSource.RUNNER, event })];
  return { runId, epoch: 0n, fromOffset: offset, toOffset: offset + 1, events };
}

/** How long until a watcher of the run is told to look; fails after a time. */
async function untilTold(hub: LogHub, runId: string, cause: () => Promise<unknown>): Promise<number> {
  using subscription = hub.subscribe(runId);
  await cause();
  const startMs = Date.now();
  expect(await subscription.wait(5_000, new AbortController().signal)).toBe(true);
  expect(subscription.take(0n).look).toBe(true);
  return Date.now() - startMs;
}

async function listeners(): Promise<number[]> {
  const { rows } = await sql<{ pid: number }>`
    select pid from pg_stat_activity where datname = current_database() and query like 'listen%'`.execute(database.db);
  return rows.map(({ pid }) => pid);
}

test("what another server appends wakes a watcher long before the next look", async () => {
  const [here, there] = [startServer(), startServer()];
  await expect.poll(listeners).toHaveLength(2);
  const runId = await storeRun(database.db);
  for (let offset = 0; offset < 5; offset += 1) {
    await sleep(150); // past the looks that the other hub asked for
    const tookMs = await untilTold(here.hub, runId, () => there.writer.append(entry(runId, offset)));
    expect(tookMs).toBeLessThan(400);
  }
});

test("an append that nobody notified of is found by looking, by those only whom it concerns", async () => {
  const { hub } = startServer();
  await sleep(200); // the first look of a server is at everything
  const [runId, other] = [await storeRun(database.db), await storeRun(database.db)];
  using bystander = hub.subscribe(other);
  expect(await untilTold(hub, runId, () => appendEvents(database.db, [entry(runId, 0)]))).toBeLessThan(2_500);
  expect(await bystander.wait(1, new AbortController().signal)).toBe(false);
});

test("a listening connection that is cut is opened again", async () => {
  const [here, there] = [startServer(), startServer()];
  await expect.poll(listeners).toHaveLength(2);
  for (const pid of await listeners()) await sql`select pg_terminate_backend(${pid})`.execute(database.db);
  await expect.poll(listeners, { timeout: 5_000 }).toHaveLength(2);
  const runId = await storeRun(database.db);
  await sleep(150);
  expect(await untilTold(here.hub, runId, () => there.writer.append(entry(runId, 0)))).toBeLessThan(400);
});

test("a server's own appends, in whatever order they are published, send no watcher of it to the database", async () => {
  const { hub, writer } = startServer();
  await expect.poll(listeners).toHaveLength(1);
  const runs = [await storeRun(database.db), await storeRun(database.db)];
  await sleep(1_100);
  using subscription = hub.subscribe(runs[0] ?? "");
  for (let offset = 0; offset < 20; offset += 1)
    await Promise.all(runs.map((runId) => writer.append(entry(runId, offset))));
  for (let cursor = 0n; cursor < 20n; cursor += 1n) subscription.take(cursor);
  await sleep(1_200);
  expect(subscription.take(20n).look).toBe(false);
});

test("many appends are told of in few notifications", async () => {
  const { writer } = startServer();
  await expect.poll(listeners).toHaveLength(1);
  const client = await database.pool.connect();
  let received = 0;
  client.on("notification", () => (received += 1));
  await client.query("listen agent_manager_log");
  const runId = await storeRun(database.db);
  const startMs = Date.now();
  for (let offset = 0; offset < 200; offset += 1) await writer.append(entry(runId, offset));
  await sleep(100);
  client.release(true);
  expect(received).toBeGreaterThan(0);
  expect(received).toBeLessThanOrEqual((Date.now() - startMs) / 50 + 1);
});
