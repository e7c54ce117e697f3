import { PolicyService, TaskService } from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { answerOnce, answerRepeatable, deleteOldRequests } from "./requests.js";
import type { Tx } from "./schema.js";

const method = TaskService.method.createTask;
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

let runs = 0;
const requestOf = (requestId: string, prompt = "p") => create(method.input, { task: { prompt }, requestId });

/** Leaves a row, so that it can be seen what was committed. */
async function work(tx: Tx) {
  runs += 1;
  const now = new Date();
  const key = `run-${runs}`;
  const columns = { profile_id: crypto.randomUUID(), create_time: now, update_time: now, key };
  await tx
    .insertInto("agent_profile")
    .values({ ...columns, display_name: "", description: "", config: "{}" })
    .execute();
  await new Promise((resolve) => setTimeout(resolve, 20));
  return create(method.output, { task: { title: key } });
}

const profileCount = async () => (await database.db.selectFrom("agent_profile").select("key").execute()).length;

test("30 calls with one request id at once run it once and all get its answer", async () => {
  const before = await profileCount();
  const call = () => answerOnce({ db: database.db, method, request: requestOf("crowd"), run: work });
  const answers = await Promise.all(Array.from({ length: 30 }, call));
  expect(new Set(answers.map(({ task }) => task?.title)).size).toBe(1);
  expect(await profileCount()).toBe(before + 1);
});

test("of two bodies with one request id at once one is refused", async () => {
  const call = (prompt: string) =>
    answerOnce({ db: database.db, method, request: requestOf("two", prompt), run: work });
  const results = await Promise.allSettled([call("a"), call("b")]);
  expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  const refused = results.find((result) => result.status === "rejected");
  expect(refused?.reason).toMatchObject({ reason: "REQUEST_ID_REUSED", values: { request_id: "two" } });
});

test("a call that fails leaves nothing, and its id may be used again", async () => {
  const before = await profileCount();
  const failing = answerOnce({
    db: database.db,
    method,
    request: requestOf("failing"),
    run: async (tx) => {
      await work(tx);
      throw new Error("in the middle");
    },
  });
  await expect(failing).rejects.toThrow("in the middle");
  expect(await profileCount()).toBe(before);
  await answerOnce({ db: database.db, method, request: requestOf("failing", "another body"), run: work });
  expect(await profileCount()).toBe(before + 1);
});

test("an empty request id runs every time", async () => {
  const call = () => answerOnce({ db: database.db, method, request: requestOf(""), run: work });
  expect(await call()).not.toEqual(await call());
});

test("methods do not share request ids", async () => {
  await answerOnce({ db: database.db, method, request: requestOf("shared"), run: work });
  const other = PolicyService.method.createPolicy;
  const request = create(other.input, { policy: { name: "n" }, requestId: "shared" });
  const answer = await answerOnce({ db: database.db, method: other, request, run: async () => create(other.output) });
  expect(answer).toEqual(create(other.output));
});

test("repeatable work gives every caller the answer that was stored first", async () => {
  let count = 0;
  const run = async () => {
    count += 1;
    return create(method.output, { task: { title: String(count) } });
  };
  const call = (prompt?: string) =>
    answerRepeatable({ db: database.db, method, request: requestOf("again", prompt), run });
  const [one, two] = await Promise.all([call(), call()]);
  expect(one).toEqual(two);
  expect(await call()).toEqual(one);
  await expect(call("other")).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
});

test("old answers are forgotten, young ones are kept", async () => {
  const { db, pool } = database;
  const call = (id: string) => answerOnce({ db, method, request: requestOf(id), run: work });
  const [old, young] = [await call("old"), await call("young")];
  await pool.query("update request set create_time = now() - interval '8 days' where request_id = 'old'");
  expect(await deleteOldRequests(db, 7)).toBe(1);
  expect(await call("young")).toEqual(young);
  expect(await call("old")).not.toEqual(old);
});
