import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase, urlOf } from "../../../test/support/postgres.js";
import { silent, startTestCluster } from "../../../test/support/postgres-cluster.js";
import { startEmbeddedPostgres } from "./embedded-postgres.js";
import { openDatabase } from "./pool.js";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test("an address in DATABASE_URL opens the same database", async () => {
  const { db, close, ready } = await openDatabase<Record<string, never>>({ url: database.url, log: silent });
  const { rows } =
    await sql`select current_database() as name, 9007199254740993::bigint as big, 'epoch'::timestamptz as day`.execute(
      db,
    );
  expect(rows).toEqual([{ name: database.connection.database, big: 9_007_199_254_740_993n, day: new Date(0) }]);
  expect(await ready()).toBe(true);
  await close();
});

test("connections have time limits and bounds", async () => {
  const { rows } = await database.pool.query(
    "select name, setting from pg_settings where name like '%timeout' and setting <> '0' and source = 'client'",
  );
  expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
    statement_timeout: "30000",
    lock_timeout: "10000",
    idle_in_transaction_session_timeout: "10000",
  });
  expect(database.pool.options.max).toBe(10);
});

test("nobody listening: the refusal names host and port and never the password", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  server.close();
  const url = `postgres://ann:s3cret@127.0.0.1:${port}/db`;
  const refusal = await openDatabase({ url, log: silent }).catch(String);
  expect(refusal).toMatch(
    new RegExp(`cannot open the database at 127.0.0.1:${port}, database db: .*ECONNREFUSED.*DATABASE_URL`),
  );
  expect(refusal).not.toContain("s3cret");
});

test("what the server itself refuses is said at once", async () => {
  const url = urlOf({ ...database.connection, database: "nothing_here" });
  const start = Date.now();
  await expect(openDatabase({ url, log: silent })).rejects.toThrow(/database "nothing_here" does not exist/);
  expect(Date.now() - start).toBeLessThan(3_000);
});

test.each(["postgres://[", "mysql://u:secret@h/d"])(
  "an address that is none is refused without repeating it: %s",
  async (url) => {
    const refusal = await openDatabase({ url, log: silent }).catch(String);
    expect(refusal).toMatch(/DATABASE_URL is not an address/);
    expect(refusal).not.toContain(url);
  },
);

test("connections that break, idle or lent out, do not end the process, and the pool goes on", async () => {
  const { pool, close, ready } = await openDatabase({ connection: database.connection, log: silent });
  const lent = await pool.connect();
  const idle = await pool.connect();
  idle.release();
  await database.pool.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
    [database.connection.database],
  );
  await new Promise((resolve) => setTimeout(resolve, 100)); // unheard, the error would end the process here
  await expect(lent.query("select 1")).rejects.toThrow();
  lent.release(true);
  expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  expect(await ready()).toBe(true);
  await close();
});

test("a database that goes away is not ready, and is again when it comes back", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "am-pool-"));
  const postgres = await startEmbeddedPostgres({ dataDir, log: silent });
  const { ready, close } = await openDatabase({ connection: postgres.connection, log: silent });
  expect(await ready()).toBe(true);
  process.kill(postgres.pid(), "SIGKILL");
  await expect.poll(ready, { timeout: 5_000, interval: 5 }).toBe(false);
  await expect.poll(ready, { timeout: 10_000 }).toBe(true);
  await close();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test("a database that takes no writes is not ready", async () => {
  const cluster = await startTestCluster();
  const { pool, ready, close } = await openDatabase({ connection: cluster.connection, log: silent });
  await pool.query("alter database postgres set default_transaction_read_only = on");
  const fresh = await openDatabase({ connection: cluster.connection, log: silent });
  expect(await ready()).toBe(true);
  expect(await fresh.ready()).toBe(false);
  await Promise.all([close(), fresh.close()]);
  await cluster.stop();
});
