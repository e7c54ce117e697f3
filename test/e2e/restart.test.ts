import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as proto from "@agent-manager/sdk/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startEmbeddedPostgres } from "../../server/src/database/embedded-postgres.js";
import { openDatabase } from "../../server/src/database/pool.js";
import type { Database } from "../../server/src/store/schema.js";
import { silent } from "../support/postgres-cluster.js";
import { makeFolder, makeRepository, startServer, type TestServer } from "../support/server.js";

const LINES = 3_000;

let folder: Awaited<ReturnType<typeof makeFolder>>;
let server: TestServer;

beforeEach(async () => {
  folder = await makeFolder();
  server = await startServer({ dataDir: join(folder.path, "data") });
});

afterEach(async () => {
  await server.stop("SIGTERM");
  await folder.remove();
});

/** What the agent wrote, by its own private ledger: "n sha256" for each line, noted before the line was printed. */
async function readLedger(path: string): Promise<string[]> {
  return (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
}

async function loggedLines(run: Awaited<ReturnType<TestServer["am"]["runs"]["get"]>>): Promise<string[]> {
  const hashes: string[] = [];
  let sequence = 0n;
  for await (const event of run.events()) {
    expect(event.sequence).toBe(++sequence);
    if (event.event.case === "log" && !event.event.value.stderr) {
      hashes.push(createHash("sha256").update(event.event.value.data).digest("hex"));
    }
  }
  return hashes;
}

test("a server killed with -9 in the middle of a run and started again goes on, and the log is complete", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const ledger = join(folder.path, "ledger");
  const prompt = JSON.stringify({
    script: [
      { lines: { count: LINES, prefix: "line", ledger, delay_ms: 1 } },
      { write: { path: "b.txt", content: "b\n" } },
    ],
  });
  const started = await server.am.runs.start({ task: { prompt, projectRoot } });
  for await (const { sequence } of started.events()) if (sequence > 50n) break;
  for (let kill = 0; kill < 3; kill += 1) {
    await server.stop("SIGKILL");
    await sleep(300);
    server = await startServer({ dataDir: server.dataDir });
    await sleep(200);
  }
  const run = await server.am.runs.get(started.id);
  expect((await run.wait()).kind).toBe("succeeded");
  await run.approve();
  const expected = await readLedger(ledger);
  expect(expected).toHaveLength(LINES);
  expect(await loggedLines(run)).toEqual(expected);
  expect(await readFile(join(projectRoot, "b.txt"), "utf8")).toBe("b\n");
});

test("an agent that ends while the server is down is found with its true end", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const prompt = JSON.stringify({ script: [{ say: "soon" }, { sleep_ms: 700 }, { exit: 7 }] });
  const started = await server.am.runs.start({ task: { prompt, projectRoot } });
  for await (const { event } of started.events()) if (event.case === "message") break;
  await server.stop("SIGKILL");
  await sleep(1_500);
  server = await startServer({ dataDir: server.dataDir });
  const run = await server.am.runs.get(started.id);
  expect((await run.wait()).kind).toBe("runnerError");
  const ends: unknown[] = [];
  for await (const { event } of run.events()) if (event.case === "processEnded") ends.push(event.value.exitCode);
  expect(ends).toEqual([7]);
});

test("a stop that was asked just before the server died is carried out by the next one", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const prompt = JSON.stringify({ script: [{ say: "on" }, { sleep_ms: 60_000 }] });
  const started = await server.am.runs.start({ task: { prompt, projectRoot } });
  for await (const { event } of started.events()) if (event.case === "message") break;
  const stopping = started.stop().catch(() => {});
  await stopping;
  await server.stop("SIGKILL");
  server = await startServer({ dataDir: server.dataDir });
  const run = await server.am.runs.get(started.id);
  expect((await run.wait()).kind).toBe("stopped");
});

test("a run whose supervisor is killed ends as lost, with everything up to then kept and no process left", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const prompt = JSON.stringify({ script: [{ say: "before" }, { sleep_ms: 60_000 }] });
  const run = await server.am.runs.start({ task: { prompt, projectRoot } });
  for await (const { event } of run.events()) if (event.case === "message") break;
  const state = JSON.parse(await readFile(join(server.dataDir, "runs", run.id, "state.json"), "utf8"));
  process.kill(state.supervisor.pid, "SIGKILL");
  expect((await run.wait()).kind).toBe("lost");
  const texts: string[] = [];
  for await (const { event } of run.events()) if (event.case === "message") texts.push(event.value.text);
  expect(texts).toContain("before");
  expect(await findProcesses(state.nonce)).toEqual([]);
});

test("processes of a run that was given up while its server was away are killed when it comes back", async () => {
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const prompt = JSON.stringify({ script: [{ say: "on" }, { sleep_ms: 60_000 }] });
  const started = await server.am.runs.start({ task: { prompt, projectRoot } });
  for await (const { event } of started.events()) if (event.case === "message") break;
  const spec = JSON.parse(await readFile(join(server.dataDir, "runs", started.id, "spec.json"), "utf8"));
  await server.stop("SIGKILL");
  expect(await findProcesses(spec.nonce)).not.toEqual([]);
  const postgres = await startEmbeddedPostgres({ dataDir: server.dataDir, log: silent });
  const { db, close } = await openDatabase<Database>({ connection: postgres.connection, log: silent });
  await db.updateTable("run").set({ state: proto.RunState.FAILED }).execute();
  await close();
  await postgres.stop();
  server = await startServer({ dataDir: server.dataDir });
  for (let tries = 0; tries < 100 && (await findProcesses(spec.nonce)).length > 0; tries += 1) await sleep(50);
  expect(await findProcesses(spec.nonce)).toEqual([]);
});

test("a queued run is started by the next server", async () => {
  await server.stop();
  server = await startServer({ dataDir: server.dataDir, environment: { AGENT_MANAGER_MAX_ACTIVE_RUNS: "1" } });
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "a\n" });
  const slow = await server.am.runs.start({
    task: { prompt: JSON.stringify({ script: [{ sleep_ms: 1_500 }] }), projectRoot },
  });
  const queued = await server.am.runs.start({
    task: { prompt: JSON.stringify({ script: [{ say: "second" }] }), projectRoot },
  });
  await sleep(500);
  expect(await queued.refresh()).toMatchObject({
    state: proto.RunState.QUEUED,
    stateReason: expect.stringContaining("waits"),
  });
  await server.stop("SIGKILL");
  server = await startServer({ dataDir: server.dataDir });
  for (const id of [slow.id, queued.id]) expect((await (await server.am.runs.get(id)).wait()).kind).toBe("noChanges");
});

async function findProcesses(nonce: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const environments = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/environ`, "latin1").catch(() => "")));
  return pids.filter((_, index) => environments[index]?.includes(nonce));
}
