import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { type PostgresConnection, startEmbeddedPostgres } from "../../server/src/database/embedded-postgres.js";
import { migrate } from "../../server/src/database/migrate.js";
import { openDatabase } from "../../server/src/database/pool.js";
import { migrations } from "../../server/src/store/migrations/index.js";

/** A cluster for tests, with a migrated database that others are copied from. */
export interface TestCluster {
  readonly connection: PostgresConnection;
  stop(): Promise<void>;
}

/** Takes a tenth of the time of migrating anew. */
export const TEMPLATE = "migrated";

export const silent = pino({ level: "silent" });

export async function startTestCluster(): Promise<TestCluster> {
  const dataDir = await mkdtemp(join(tmpdir(), "am-test-"));
  const postgres = await startEmbeddedPostgres({ dataDir, log: silent });
  const { connection } = postgres;
  const maintenance = await openDatabase({ connection, log: silent });
  await maintenance.pool.query(`create database ${TEMPLATE}`);
  await maintenance.close();
  const template = await openDatabase({ connection: { ...connection, database: TEMPLATE }, log: silent });
  await migrate(template.db, migrations);
  await template.close();
  const stop = async () => {
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  return { connection, stop };
}
