import { RunState } from "@agent-manager/sdk/proto";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { storeRun } from "../../../test/support/runs.js";
import { appendEvents, raiseEpoch, readLogHead, readRunEvents, readRunLog } from "./run-events.js";
import { changeRun, findRun } from "./runs.js";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

function events(...texts: string[]) {
  return texts.map((text) => ({ kind: 41, bytes: Buffer.from(text) }));
}

async function texts(runId: string): Promise<string[]> {
  const stored = await readRunEvents(database.db, { runId, afterSequence: 0n, kinds: [], limit: 1_000 });
  return stored.map(({ bytes }) => Buffer.from(bytes).toString());
}

/** The invariants of the whole log, as SQL. */
async function expectGapless(): Promise<void> {
  const { rows } = await sql<{ log: boolean; runs: boolean; order: boolean }>`
    select (select count(*) = max(position) and min(position) = 1 from run_event) as log,
      (select bool_and(ok) from (select count(*) = max(sequence) and min(sequence) = 1 as ok from run_event group by run_id) r) as runs,
      not exists (select from (select sequence - lag(sequence) over (partition by run_id order by position) as step from run_event) s
        where step <> 1) as order`.execute(database.db);
  expect(rows[0]).toEqual({ log: true, runs: true, order: true });
  const { rows: heads } = await sql<{ same: boolean }>`
    select (select position from log_head) = (select max(position) from run_event) as same`.execute(database.db);
  expect(heads[0]?.same).toBe(true);
}

describe("an append", () => {
  test("gives gapless sequences per run and gapless positions over all runs of a flush", async () => {
    const [a, b] = [await storeRun(database.db), await storeRun(database.db)];
    const base = { epoch: 0n, fromOffset: 0 };
    const rows = await appendEvents(database.db, [
      { runId: a, ...base, toOffset: 10, events: events("a1", "a2") },
      { runId: b, ...base, toOffset: 20, events: events("b1") },
    ]);
    expect(rows).toHaveLength(2);
    await appendEvents(database.db, [{ runId: a, epoch: 0n, fromOffset: 10, toOffset: 30, events: events("a3") }]);
    expect(await texts(a)).toEqual(["a1", "a2", "a3"]);
    expect(await texts(b)).toEqual(["b1"]);
    await expectGapless();
  });

  test("made again after a lost answer changes nothing", async () => {
    const runId = await storeRun(database.db);
    const entry = { runId, epoch: 0n, fromOffset: 0, toOffset: 10, events: events("once") };
    expect(await appendEvents(database.db, [entry])).toHaveLength(1);
    expect(await appendEvents(database.db, [entry])).toHaveLength(0);
    expect(await texts(runId)).toEqual(["once"]);
    await expectGapless();
  });

  test("of an owner that lost the run is refused and does not stop the others", async () => {
    const [lost, kept] = [await storeRun(database.db), await storeRun(database.db)];
    expect(await raiseEpoch(database.db, lost)).toBe(1n);
    const rows = await appendEvents(database.db, [
      { runId: lost, epoch: 0n, fromOffset: 0, toOffset: 10, events: events("stale") },
      { runId: kept, epoch: 0n, fromOffset: 0, toOffset: 10, events: events("kept") },
    ]);
    expect(rows.map(({ run_id }) => run_id)).toEqual([kept]);
    expect(await texts(lost)).toEqual([]);
    expect((await readRunLog(database.db, lost))?.spool_offset).toBe(0n);
    await expectGapless();
  });

  test("refused whole leaves the head where it was", async () => {
    const before = await readLogHead(database.db);
    const runId = await storeRun(database.db);
    expect(
      await appendEvents(database.db, [{ runId, epoch: 7n, fromOffset: 0, toOffset: 1, events: events("x") }]),
    ).toEqual([]);
    expect(await readLogHead(database.db)).toEqual(before);
  });

  test("racing with others of other runs keeps positions gapless and in commit order", async () => {
    const runs = await Promise.all(Array.from({ length: 8 }, () => storeRun(database.db)));
    await Promise.all(
      runs.map(async (runId) => {
        for (let offset = 0; offset < 20; offset += 1) {
          await appendEvents(database.db, [
            { runId, epoch: 0n, fromOffset: offset, toOffset: offset + 1, events: events(`${offset}`, `${offset}'`) },
          ]);
        }
      }),
    );
    for (const runId of runs) expect(await texts(runId)).toHaveLength(40);
    await expectGapless();
  });

  test("keeps bytes that are no text", async () => {
    const runId = await storeRun(database.db);
    const bytes = Buffer.from([0, 255, 0, 10, 13, 92, 120]);
    await appendEvents(database.db, [{ runId, epoch: 0n, fromOffset: 0, toOffset: 1, events: [{ kind: 41, bytes }] }]);
    const [stored] = await readRunEvents(database.db, { runId, afterSequence: 0n, kinds: [], limit: 1 });
    expect(Buffer.from(stored?.bytes ?? [])).toEqual(bytes);
  });
});

describe("a change of a run", () => {
  test("stores the change with its events, and its task follows", async () => {
    const runId = await storeRun(database.db);
    const change = {
      runId,
      version: 1n,
      set: { state: RunState.STARTING },
      taskState: 2,
      events: events("starting"),
      epoch: null,
    };
    expect(await changeRun(database.db, change)).toBeDefined();
    const run = await findRun(database.db, runId);
    expect(run).toMatchObject({ state: RunState.STARTING, version: 2n, last_sequence: 1n });
    const task = await database.db
      .selectFrom("task")
      .select("state")
      .where("task_id", "=", run?.task_id ?? "")
      .executeTakeFirst();
    expect(task?.state).toBe(2);
    await expectGapless();
  });

  test("of two that were decided on the same version, one wins and the other changes nothing", async () => {
    const runId = await storeRun(database.db);
    const change = (text: string) =>
      changeRun(database.db, { runId, version: 1n, set: {}, taskState: undefined, events: events(text), epoch: null });
    const results = await Promise.all([change("one"), change("other")]);
    expect(results.filter((row) => row !== undefined)).toHaveLength(1);
    expect(await texts(runId)).toHaveLength(1);
    await expectGapless();
  });

  test("by an owner that lost the run is refused", async () => {
    const runId = await storeRun(database.db);
    await raiseEpoch(database.db, runId);
    const change = { runId, version: 1n, set: {}, taskState: undefined, events: events("stale"), epoch: 0n };
    expect(await changeRun(database.db, change)).toBeUndefined();
    expect(await texts(runId)).toEqual([]);
  });
});
