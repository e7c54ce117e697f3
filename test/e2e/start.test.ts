import { once } from "node:events";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createAgentManager } from "@agent-manager/sdk";
import { RunState } from "@agent-manager/sdk/proto";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { openDatabase } from "../../server/src/database/pool.js";
import { type ExternalPostgres, startExternalPostgres } from "../support/external-postgres.js";
import { asNobody, canBecomeNobody } from "../support/other-user.js";
import { silent } from "../support/postgres-cluster.js";
import { projectMaker, script } from "../support/scripted-run.js";
import {
  makeFolder,
  program,
  startServer,
  type TestServer,
  type TestServerOptions,
  testEnvironment,
} from "../support/server.js";
import { findPostgres, runServe } from "../support/server-process.js";
import { failureOf } from "../support/wire-failure.js";

let folder: Awaited<ReturnType<typeof makeFolder>>;
const servers: TestServer[] = [];
const makeProject = projectMaker(() => folder.path);

beforeAll(async () => {
  folder = await makeFolder();
  await chmod(folder.path, 0o755); // another user shall get as far as the data directory
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop("SIGKILL")));
});

afterAll(() => folder.remove());

/** Started, and ended after the test whatever becomes of it. */
async function launch(options: TestServerOptions): Promise<TestServer> {
  const server = await startServer(options);
  servers.push(server);
  return server;
}

async function launchServing(options: TestServerOptions): Promise<TestServer> {
  const server = await launch(options);
  await waitForHealth(server, "serving");
  return server;
}

async function waitForHealth(server: TestServer, status: "serving" | "notServing"): Promise<void> {
  await vi.waitFor(async () => expect(await server.am.health()).toBe(status), { timeout: 10_000, interval: 10 });
}

const root = process.getuid?.() === 0;
const dataDir = (name: string) => join(folder.path, name);

/** What a server that does not start owes the one who started it. */
function expectSentence({ code, output }: Awaited<ReturnType<typeof runServe>>, sentence: RegExp): void {
  expect(output).toMatch(sentence);
  expect(output).not.toMatch(/^\s+at /m); // no stack
  expect(code).toBe(1);
}

async function startSleeper(server: TestServer, ...steps: readonly object[]) {
  const prompt = script({ say: "awake" }, ...steps);
  const run = await server.am.runs.start({ task: { prompt, projectRoot: await makeProject() } });
  for await (const { event } of run.events()) if (event.case === "message") break;
  return run;
}

describe("a server", () => {
  test("is ready soon, cold and warm, and leaves nothing behind when it is asked to end", async () => {
    for (const start of ["cold", "warm"]) {
      const startMs = Date.now();
      const server = await launchServing({ dataDir: dataDir("timed") });
      const readyMs = Date.now() - startMs;
      console.log(`${start} start to SERVING: ${readyMs} ms`);
      expect(readyMs).toBeLessThan(10_000);
      expect((await stat(join(server.dataDir, "token"))).mode & 0o777).toBe(0o600);
      expect((await stat(server.dataDir)).mode & 0o777).toBe(0o700);
      expect(await findPostgres(server.dataDir)).not.toEqual([]);

      const stopMs = Date.now();
      expect(await server.stop("SIGTERM")).toBe(0);
      expect(Date.now() - stopMs).toBeLessThan(5_000);
      expect(await findPostgres(server.dataDir)).toEqual([]);
      await expect(stat(join(server.dataDir, "server.json"))).rejects.toMatchObject({ code: "ENOENT" });
    }
  });

  test("that ends tells open watches to come back, leaves the agent, and the next one takes it up again", async () => {
    const server = await launchServing({ dataDir: dataDir("leaving") });
    const run = await startSleeper(server, { sleep_ms: 1_500 }, { say: "still here" });
    // a client of its own: stop() closes that of the server
    const watcher = createAgentManager({ url: server.url, token: server.token });
    onTestFinished(() => watcher.close());
    const watch = failureOf(readToTheEnd(watcher.clients.events.watchRunEvents({ runId: run.id })));
    await sleep(300);
    const stopMs = Date.now();
    expect(await server.stop("SIGTERM")).toBe(0);
    expect(Date.now() - stopMs).toBeLessThan(5_000);
    expect(await watch).toMatchObject({ code: "Unavailable", reason: "SERVER_SHUTTING_DOWN" });

    const next = await launchServing({ dataDir: server.dataDir });
    const found = await next.am.runs.get(run.id);
    expect((await found.wait()).kind).toBe("noChanges");
    expect(found.snapshot.result).toBe("still here");
  });

  test("killed with -9 does not stop the next start, and its Postgres is gone", async () => {
    const server = await launchServing({ dataDir: dataDir("killed") });
    const before = await findPostgres(server.dataDir);
    await server.stop("SIGKILL");
    const next = await launchServing({ dataDir: server.dataDir });
    const after = await findPostgres(server.dataDir);
    expect(before.filter((pid) => after.includes(pid))).toEqual([]);
    expect((await next.am.profiles.ensure({ key: "written" })).created).toBe(true);
  });

  test("shows its flags with examples", async () => {
    const { stdout, exitCode } = await execa(process.execPath, [program, "serve", "--help"]);
    expect(exitCode).toBe(0);
    for (const word of ["--listen", "--data-dir", "--database-url", "--tls-cert", "127.0.0.1:7717", "Examples"]) {
      expect(stdout).toContain(word);
    }
  });
});

describe("a server that cannot start says why and what to do:", () => {
  test("its port is taken", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo; // it listens on TCP
    const listen = `127.0.0.1:${port}`;
    const result = await runServe({ dataDir: dataDir("port"), args: ["--listen", listen] });
    expectSentence(result, new RegExp(`cannot listen on ${listen}: the port is taken.*--listen`));
    expect(await findPostgres(dataDir("port"))).toEqual([]);
  });

  test("its address is open to others and it has no TLS", async () => {
    const result = await runServe({ dataDir: dataDir("open"), args: ["--listen", "0.0.0.0:0"] });
    expectSentence(result, /TLS/);
    expect(result.output).toContain("127.0.0.1");
  });

  test("a file is in the place of its data directory", async () => {
    await writeFile(dataDir("file"), "");
    expectSentence(await runServe({ dataDir: dataDir("file") }), /data directory .*file.*--data-dir/);
  });

  test.skipIf(root && !canBecomeNobody)("its data directory lies where this user may not write", async () => {
    await mkdir(dataDir("closed"), { mode: 0o755 });
    if (!root) await chmod(dataDir("closed"), 0o555);
    const result = await runServe({ dataDir: join(dataDir("closed"), "data"), prefix: root ? asNobody : [] });
    expectSentence(result, /cannot make the data directory .*closed\/data \(EACCES\).*--data-dir/);
  });

  test.runIf(canBecomeNobody)("its data directory belongs to someone else", async () => {
    await mkdir(dataDir("foreign"), { mode: 0o755 });
    const result = await runServe({ dataDir: dataDir("foreign"), prefix: asNobody });
    expectSentence(result, /foreign belongs to user 0, and this is user 65534/);
  });

  test("its token can be read by others", async () => {
    await mkdir(dataDir("shared-token"), { mode: 0o700 });
    await writeFile(join(dataDir("shared-token"), "token"), "x".repeat(43), { mode: 0o644 });
    expectSentence(
      await runServe({ dataDir: dataDir("shared-token") }),
      /token file .* is open to other users.*chmod 600/,
    );
  });

  test("its database does not answer; the password is not shown", async () => {
    const environment = { DATABASE_URL: "postgres://am:s3cret-word@127.0.0.1:1/am" };
    const result = await runServe({ dataDir: dataDir("no-database"), environment });
    expectSentence(result, /cannot open the database at 127\.0\.0\.1:1, database am: .*ECONNREFUSED.*DATABASE_URL/);
    expect(result.output).not.toContain("s3cret-word");
  });

  test("its DATABASE_URL is no address; the password is not shown", async () => {
    const environment = { DATABASE_URL: "mysql://am:s3cret-word@127.0.0.1:99999999/am" };
    const result = await runServe({ dataDir: dataDir("no-address"), environment });
    expectSentence(result, /DATABASE_URL/);
    expect(result.output).not.toContain("s3cret-word");
  });

  test("another server uses the directory; that one is not disturbed", async () => {
    const first = await launchServing({ dataDir: dataDir("held") });
    const result = await runServe({ dataDir: first.dataDir });
    expectSentence(result, new RegExp(`another agent-manager server \\(pid ${first.pid}\\) uses .*held`));
    expect(JSON.parse(await readFile(join(first.dataDir, "server.json"), "utf8"))).toMatchObject({ pid: first.pid });
    const run = await first.am.runs.start({ task: { prompt: script({ say: "x" }), projectRoot: await makeProject() } });
    expect((await run.wait()).kind).toBe("noChanges");
  });

  test("a newer version has been at its database", async () => {
    const server = await launchServing({ dataDir: dataDir("newer") });
    const connection = { host: join(server.dataDir, "pg"), user: "agent_manager", database: "postgres" };
    const database = await openDatabase({ connection, log: silent });
    const insert = "insert into kysely_migration (name, timestamp) values ('9999-from-the-future', '2099-01-01')";
    await database.pool.query(insert);
    await database.close();
    await server.stop();
    const result = await runServe({ dataDir: server.dataDir });
    expectSentence(result, /schema is newer than this program: it has the migration 9999-from-the-future/);
    expect(await findPostgres(server.dataDir)).toEqual([]);
  });
});

test("of servers that start at the same moment on a fresh directory exactly one serves", async () => {
  const directory = dataDir("raced");
  const starts = await Promise.all(
    Array.from({ length: 2 }, () => {
      const args = [program, "serve", "--data-dir", directory, "--listen", "127.0.0.1:0"];
      const child = execa(process.execPath, args, {
        env: testEnvironment(),
        extendEnv: false,
        reject: false,
        all: true,
        timeout: 30_000,
      });
      const ready = new Promise<"serves">((resolve) => {
        child.all.on("data", (chunk: Buffer) => chunk.toString().includes("is ready at") && resolve("serves"));
      });
      return Promise.race([ready, child.then(({ all }) => all)]).then((outcome) => ({ child, outcome }));
    }),
  );
  const outcomes = starts.map(({ outcome }) => outcome).sort();
  for (const { child } of starts) child.kill("SIGTERM");
  await Promise.all(starts.map(({ child }) => child));
  expect(outcomes).toEqual([expect.stringContaining("another agent-manager server (pid "), "serves"]);
});

describe("with a Postgres of someone else", () => {
  let postgres: ExternalPostgres;
  let server: TestServer;

  beforeAll(async () => {
    postgres = await startExternalPostgres();
  });

  afterAll(() => postgres.remove());

  const start = async () => {
    const environment = { DATABASE_URL: postgres.url };
    server = await launchServing({ dataDir: dataDir("external"), environment });
  };

  test("a run goes from start to approval, and no Postgres is started", async () => {
    await start();
    const projectRoot = await makeProject();
    const prompt = script({ write: { path: "a.txt", content: "from outside\n" } });
    const run = await server.am.runs.start({ task: { prompt, projectRoot } });
    expect((await run.wait()).kind).toBe("succeeded");
    expect((await run.approve()).run.state).toBe(RunState.COMPLETED);
    expect(await readFile(join(projectRoot, "a.txt"), "utf8")).toBe("from outside\n");
    expect(await findPostgres(server.dataDir)).toEqual([]);
  });

  test("that dies in the middle of a run, calls say so, the agent goes on, and afterwards the log is complete", async () => {
    await start();
    const ledger = dataDir("ledger");
    const lines = { lines: { count: 400, prefix: "line ", ledger, delay_ms: 10 } };
    const run = await startSleeper(server, lines, { write: { path: "b.txt", content: "b\n" } });
    await postgres.kill();

    const call = await failureOf(server.am.clients.runs.getRun({ runId: run.id }, { timeoutMs: 15_000 }));
    expect(call).toMatchObject({ code: "Unavailable", reason: "DATABASE_UNAVAILABLE" });
    const task = { prompt: script({ say: "x" }), projectRoot: await makeProject() };
    const create = server.am.clients.runs.createRun({ work: { case: "task", value: task } }, { timeoutMs: 15_000 });
    expect(await failureOf(create)).toMatchObject({ code: "Unavailable", reason: "DATABASE_UNAVAILABLE" });
    await waitForHealth(server, "notServing");
    const written = await countLines(ledger);
    await sleep(300);
    expect(await countLines(ledger)).toBeGreaterThan(written);

    await postgres.restart();
    await waitForHealth(server, "serving");
    expect((await run.wait()).kind).toBe("succeeded");
    expect((await run.approve()).appliedFiles).toEqual(["b.txt"]);
    const printed: string[] = [];
    let sequence = 0n;
    for await (const event of run.events()) {
      expect(event.sequence).toBe(++sequence);
      if (event.event.case === "log" && !event.event.value.stderr) printed.push(decodeText(event.event.value.data));
    }
    expect(printed).toEqual(Array.from({ length: 400 }, (_, index) => `line ${index + 1}`));
  });

  test("that dies while a watch is open ends the watch as unavailable, to be resumed", async () => {
    await start();
    const run = await startSleeper(server, { sleep_ms: 60_000 });
    const watch = failureOf(readToTheEnd(server.am.clients.events.watchRunEvents({ runId: run.id })));
    await sleep(200);
    await postgres.kill();
    expect(await watch).toMatchObject({ code: "Unavailable", reason: "DATABASE_UNAVAILABLE" });
    await postgres.restart();
    await waitForHealth(server, "serving");
    await run.stop();
    expect((await run.wait()).kind).toBe("stopped");
  });
});

async function readToTheEnd(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

const decodeText = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function countLines(path: string): Promise<number> {
  return (await readFile(path, "utf8")).split("\n").length - 1;
}
