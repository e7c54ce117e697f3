import { type Kysely, sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { migrations } from "../store/migrations/index.js";
import { migrate } from "./migrate.js";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
});
afterAll(() => database.drop());

test("servers that start at the same time migrate once", async () => {
  const { db } = database;
  await Promise.all([migrate(db, migrations), migrate(db, migrations), migrate(db, migrations)]);
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  expect(rows.map(({ name }) => name)).toEqual(Object.keys(migrations));
  const heads = await db.selectFrom("log_head").selectAll().execute();
  expect(heads).toHaveLength(1);
});

test("the pool's time limits are back after migrating", async () => {
  const shown = await Promise.all(Array.from({ length: 10 }, () => database.pool.query("show statement_timeout")));
  expect(new Set(shown.map(({ rows }) => rows[0]?.statement_timeout))).toEqual(new Set(["30s"]));
});

test("a migration that fails leaves the schema as it was", async () => {
  const { db } = database;
  const broken = {
    "9998-broken": {
      up: async (tx: Kysely<unknown>) => {
        await sql`create table half_made (id int)`.execute(tx);
        await sql`create table task (id int)`.execute(tx);
      },
    },
  };
  await expect(migrate(db, { ...migrations, ...broken })).rejects.toThrow(/9998-broken.*already exists/);
  const { rows } = await sql`select to_regclass('half_made') as half_made`.execute(db);
  expect(rows).toEqual([{ half_made: null }]);
  await migrate(db, migrations);
});

test("a schema that is newer than the program is refused by name", async () => {
  const { db } = database;
  const newer = { "9999-future": { up: async () => {} } };
  await migrate(db, { ...migrations, ...newer });
  await expect(migrate(db, migrations)).rejects.toThrow(/schema is newer than this program.*9999-future/);
});
