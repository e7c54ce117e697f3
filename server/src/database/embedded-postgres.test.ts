import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { asNobody, canBecomeNobody } from "../../../test/support/other-user.js";
import { silent } from "../../../test/support/postgres-cluster.js";
import { bundleProgram, type Program } from "../../../test/support/program.js";
import { type EmbeddedPostgres, type PostgresConnection, startEmbeddedPostgres } from "./embedded-postgres.js";

const root = process.geteuid?.() === 0;

let holdPostgres: Program;
let folder: string;
let dataDir: string;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  holdPostgres = await bundleProgram("test/fixtures/programs/hold-postgres.ts");
});
afterAll(() => holdPostgres.remove());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "am-embedded-"));
  await chmod(folder, 0o711);
  dataDir = join(folder, "data");
  await mkdir(dataDir, { mode: 0o700 });
});
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) {
    await clean();
  }
  await rm(folder, { recursive: true, force: true });
});

test("it is a durable Postgres 18 that only its socket reaches", async () => {
  const { connection } = await start();
  const rows = await ask(connection, "select name, setting from pg_settings where name = any($1)", [
    ["fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "server_encoding", "server_version"],
  ]);
  expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
    fsync: "on",
    synchronous_commit: "on",
    full_page_writes: "on",
    listen_addresses: "",
    server_encoding: "UTF8",
    server_version: expect.stringMatching(/^18\./),
  });
  expect((await stat(connection.host)).mode & 0o777).toBe(0o700);
  expect((await stat(join(dataDir, "postgres"))).mode & 0o777).toBe(0o700);
});

test("what was written is there after a stop and another start", async () => {
  const first = await start();
  await ask(first.connection, "create table kept as select 42 as answer");
  await first.stop();
  await first.exited;
  const second = await start();
  expect(await ask(second.connection, "select answer from kept")).toEqual([{ answer: 42 }]);
});

test("a Postgres that dies is started again", async () => {
  const postgres = await start();
  const before = postgres.pid();
  process.kill(before, "SIGKILL");
  await eventually(async () => {
    expect(await ask(postgres.connection, "select 1 as one")).toEqual([{ one: 1 }]);
    expect(postgres.pid()).not.toBe(before);
  });
});

test("stopping while it is being started again leaves nothing", async () => {
  const postgres = await start();
  process.kill(postgres.pid(), "SIGKILL");
  await sleep(20);
  await postgres.stop();
  expect(await postgresesOf(dataDir)).toEqual([]);
});

test("a server that is killed takes its Postgres along", async () => {
  const server = await hold();
  expect(await postgresesOf(dataDir)).toHaveLength(1);
  server.process.kill("SIGKILL");
  await eventually(async () => expect(await postgresesOf(dataDir)).toEqual([]));
});

test("a start right after the server was killed waits for its Postgres to end, and has everything", async () => {
  const server = await hold();
  await ask(server.connection, "create table kept as select 42 as answer");
  server.process.kill("SIGKILL");
  const next = await start();
  expect(await ask(next.connection, "select answer from kept")).toEqual([{ answer: 42 }]);
  expect(next.pid()).not.toBe(server.postgresPid);
});

test("server and Postgres killed together leave nothing that stops the next start", async () => {
  const server = await hold();
  await ask(server.connection, "create table kept as select 42 as answer");
  process.kill(server.postgresPid, "SIGKILL");
  server.process.kill("SIGKILL");
  const next = await start();
  expect(await ask(next.connection, "select answer from kept")).toEqual([{ answer: 42 }]);
});

test("a Postgres that outlived its server is ended first", async () => {
  // without its server's death signal, as on macOS
  const server = await hold({ PATH: await pathWith("setpriv", '[ "$1" = --pdeathsig ] && shift 2; exec "$@"') });
  server.process.kill("SIGKILL");
  await sleep(300);
  expect(await postgresesOf(dataDir)).not.toEqual([]);
  const next = await start();
  expect(next.pid()).not.toBe(server.postgresPid);
  expect(await ask(next.connection, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a pid file whose pid belongs to another program by now does not stop the start", async () => {
  await (await start()).stop();
  const socketDir = join(dataDir, "pg");
  await writeFile(
    join(dataDir, "postgres", "postmaster.pid"),
    `${process.ppid}\n${dataDir}\n1\n5432\n${socketDir}\n\n 1 1\n`,
  );
  const { connection } = await start();
  expect(await ask(connection, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a cluster that a crash left half made is made again", async () => {
  await mkdir(join(dataDir, "postgres.new-abc", "base"), { recursive: true });
  await start();
  expect((await readdir(dataDir)).filter((name) => name.startsWith("postgres.new"))).toEqual([]);
});

test("a data directory with a long path gets a short socket folder, which goes with it", async () => {
  dataDir = join(folder, "long".repeat(30));
  await mkdir(dataDir, { mode: 0o700 });
  const postgres = await start();
  expect(postgres.connection.host.length).toBeLessThan(90);
  expect(await ask(postgres.connection, "select 1 as one")).toEqual([{ one: 1 }]);
  await postgres.stop();
  await expect(stat(postgres.connection.host)).rejects.toThrow(/ENOENT/);
});

test("a cluster of another major version is refused with what to do", async () => {
  await mkdir(join(dataDir, "postgres"), { mode: 0o700 });
  await writeFile(join(dataDir, "postgres", "PG_VERSION"), "17\n");
  await expect(start()).rejects.toThrow(/made by Postgres 17.*brings Postgres 18/);
});

test("a Postgres that cannot start says why", async () => {
  await (await start()).stop();
  await rm(join(dataDir, "postgres", "global", "pg_control"));
  await expect(start()).rejects.toThrow(/could not find the database system.*set DATABASE_URL/);
});

test("a log that has grown large is put aside", async () => {
  await writeFile(join(dataDir, "postgres.log"), Buffer.alloc(11 * 1024 * 1024, 10));
  await start();
  expect((await stat(join(dataDir, "postgres.log"))).size).toBeLessThan(1024 * 1024);
  expect((await stat(join(dataDir, "postgres.log.1"))).size).toBe(11 * 1024 * 1024);
});

test.runIf(canBecomeNobody)("it runs for an ordinary user", async () => {
  await chown(dataDir, 65534, 65534);
  const server = await hold({}, [...asNobody]);
  expect(await ask(server.connection, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(await uidOf(server.postgresPid)).toBe(65534);
});

test.runIf(canBecomeNobody)(
  "it runs for root where user namespaces are denied, and back where they are not",
  async () => {
    const server = await hold({ PATH: await pathWith("unshare", "exit 1") });
    await ask(server.connection, "create table kept as select 42 as answer");
    expect(await uidOf(server.postgresPid)).not.toBe(0);
    server.process.kill("SIGKILL");
    const next = await start();
    expect(await ask(next.connection, "select answer from kept")).toEqual([{ answer: 42 }]);
    expect(await uidOf(next.pid())).toBe(0);
  },
);

test.runIf(root)("where nothing lets root run it, the refusal says what to do", async () => {
  const PATH = await pathWith("unshare", "exit 1", "setpriv");
  await expect(hold({ PATH })).rejects.toThrow(/cannot run as root.*ordinary user, or set DATABASE_URL/);
});

async function start(): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, log: silent });
  cleanups.push(() => postgres.stop());
  return postgres;
}

interface Held {
  readonly process: ChildProcess;
  readonly connection: PostgresConnection;
  readonly postgresPid: number;
}

/** A process of its own that holds the data directory with its Postgres. */
async function hold(env: Readonly<Record<string, string>> = {}, prefix: readonly string[] = []): Promise<Held> {
  const [command = "", ...args] = [...prefix, process.execPath, holdPostgres.path, dataDir];
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  const gone = once(child, "exit");
  cleanups.push(async () => {
    child.kill("SIGKILL");
    await gone;
    await eventually(async () => expect(await postgresesOf(dataDir)).toEqual([]));
  });
  const [line] = await once(createInterface(child.stdout), "line");
  const said: { connection: PostgresConnection; postgresPid: number; problem?: string } = JSON.parse(String(line));
  if (said.problem !== undefined) {
    throw new Error(said.problem);
  }
  return { process: child, connection: said.connection, postgresPid: said.postgresPid };
}

/** A PATH on which programs of these names are a shell script. */
async function pathWith(name: string, script: string, ...more: readonly string[]): Promise<string> {
  const bin = join(folder, "bin");
  await mkdir(bin);
  const real = (await execa("sh", ["-c", `command -v ${name}`])).stdout;
  const text = `#!/bin/sh\n${script.replaceAll('exec "$@"', `exec ${real} "$@"`)}\n`;
  for (const program of [name, ...more]) {
    await writeFile(join(bin, program), text, { mode: 0o755 });
  }
  return `${bin}${delimiter}${process.env.PATH}`;
}

async function ask(
  connection: PostgresConnection,
  text: string,
  values: readonly unknown[] = [],
): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client({ ...connection });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

async function postgresesOf(path: string): Promise<readonly string[]> {
  const { stdout } = await execa("ps", ["-eo", "pid,stat,args"]);
  return stdout.split("\n").filter((line) => line.includes(`-D ${path}`) && !/^\s*\d+\s+Z/.test(line));
}

async function uidOf(pid: number): Promise<number> {
  return Number(/^Uid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}

async function eventually(check: () => Promise<void>): Promise<void> {
  for (let left = 100; ; left -= 1) {
    try {
      return await check();
    } catch (error) {
      if (left === 0) {
        throw error;
      }
      await sleep(50);
    }
  }
}
