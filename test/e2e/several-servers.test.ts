import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RunState } from "@agent-manager/sdk/proto";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.js";
import { makeFolder, makeRepository, startServer, type TestServer } from "../support/server.js";

let folder: Awaited<ReturnType<typeof makeFolder>>;
let database: TestDatabase;
let servers: TestServer[];

beforeEach(async () => {
  folder = await makeFolder();
  database = await createTestDatabase();
  servers = [await start("a"), await start("b")];
});

afterEach(async () => {
  for (const server of servers) {
    process.kill(server.pid, "SIGCONT");
    await server.stop();
  }
  await database.drop();
  await folder.remove();
});

function start(name: string): Promise<TestServer> {
  const environment = {
    DATABASE_URL: database.url,
    AGENT_MANAGER_LEASE_TTL_MS: "1500",
    AGENT_MANAGER_HOST_LOST_MS: "60000",
  };
  return startServer({ dataDir: join(folder.path, name), environment });
}

async function ownerOf(runId: string): Promise<TestServer> {
  const row = await database.db
    .selectFrom("run")
    .select("data_dir")
    .where("run_id", "=", runId)
    .executeTakeFirstOrThrow();
  const owner = servers.find(({ dataDir }) => dataDir === row.data_dir);
  if (!owner) throw new Error(`no server owns ${runId}`);
  return owner;
}

test("two servers that race for queued runs start each exactly once", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const prompt = JSON.stringify({ script: [{ say: "once" }] });
  const runs = await Promise.all(
    Array.from({ length: 24 }, (_, index) =>
      (servers[index % 2] as TestServer).am.runs.start({ task: { prompt, projectRoot } }),
    ),
  );
  const kinds = await Promise.all(runs.map(async (run) => (await run.wait()).kind));
  expect(new Set(kinds)).toEqual(new Set(["noChanges"]));
  const { rows } = await sql<{ run_id: string; starts: string }>`
    select run_id, count(*)::text as starts from run_event where kind = 43 group by run_id`.execute(database.db);
  expect(rows.map(({ starts }) => starts)).toEqual(Array(24).fill("1"));
});

test("a server paused past its lease loses its run to the other one, and writes nothing when it wakes", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const ledger = join(folder.path, "ledger");
  const prompt = JSON.stringify({ script: [{ lines: { count: 4_000, prefix: "line", ledger, delay_ms: 1 } }] });
  const started = await (servers[0] as TestServer).am.runs.start({ task: { prompt, projectRoot } });
  for await (const { sequence } of started.events()) if (sequence > 30n) break;
  const owner = await ownerOf(started.id);
  const other = servers.find((server) => server !== owner) as TestServer;
  process.kill(owner.pid, "SIGSTOP");
  await sleep(3_500);
  process.kill(owner.pid, "SIGCONT");

  const run = await other.am.runs.get(started.id);
  expect((await run.wait()).kind).toBe("noChanges");
  const hashes: string[] = [];
  let sequence = 0n;
  let tookOver = false;
  for await (const event of run.events()) {
    expect(event.sequence).toBe(++sequence);
    if (event.event.case === "warning" && event.event.value.code === "owner_changed") tookOver = true;
    if (event.event.case !== "log" || event.event.value.stderr) continue;
    hashes.push(createHash("sha256").update(event.event.value.data).digest("hex"));
  }
  expect(tookOver).toBe(true);
  const expected = (await readFile(ledger, "utf8"))
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[1]);
  expect(hashes).toEqual(expected);
});

test("a watch through one server sees the live events of a run that the other looks after", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const prompt = JSON.stringify({ script: [{ say: "one" }, { sleep_ms: 500 }, { say: "two" }] });
  const started = await (servers[0] as TestServer).am.runs.start({ task: { prompt, projectRoot } });
  for (const server of servers) {
    const texts: string[] = [];
    const run = await server.am.runs.get(started.id);
    for await (const { event } of run.events()) if (event.case === "message") texts.push(event.value.text);
    expect(texts.filter((text) => text === "one" || text === "two")).toEqual(["one", "two"]);
  }
});

test("a stop asked of the other server reaches the agent", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const prompt = JSON.stringify({ script: [{ say: "on" }, { sleep_ms: 60_000 }] });
  const started = await (servers[0] as TestServer).am.runs.start({ task: { prompt, projectRoot } });
  for await (const { event } of started.events()) if (event.case === "message") break;
  const owner = await ownerOf(started.id);
  const other = servers.find((server) => server !== owner) as TestServer;
  const run = await other.am.runs.get(started.id);
  await run.stop();
  expect((await run.wait()).kind).toBe("stopped");
  expect((await run.refresh()).state).toBe(RunState.CANCELLED);
});
