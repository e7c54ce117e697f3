import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { inject } from "vitest";
import type { PostgresConnection } from "../../server/src/database/embedded-postgres.js";
import { type OpenDatabase, openDatabase } from "../../server/src/database/pool.js";
import { newId } from "../../server/src/domain/ids.js";
import type { Database, Db } from "../../server/src/store/schema.js";
import { silent, startTestCluster, TEMPLATE, type TestCluster } from "./postgres-cluster.js";

/** A database of its own, for one test file. */
export interface TestDatabase {
  readonly db: Db;
  readonly pool: OpenDatabase<Database>["pool"];
  readonly connection: PostgresConnection;
  /** The same as an address for DATABASE_URL. */
  readonly url: string;
  /** Closes the pool and removes the database. Call it in afterAll. */
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** Start without any table. */
  readonly empty?: boolean;
}

/** Makes a database with the current schema in the run's cluster (real Postgres). */
export async function createTestDatabase({ empty = false }: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const cluster = await sharedCluster();
  const name = `test_${newId().replaceAll("-", "")}`;
  await administer(cluster, `create database ${name} template ${empty ? "template0" : TEMPLATE}`);
  const connection = { ...cluster, database: name };
  const { db, pool, close } = await openDatabase<Database>({ connection, log: silent });
  const drop = async () => {
    await close();
    await administer(cluster, `drop database ${name} with (force)`);
    await leaveOwnCluster();
  };
  return { db, pool, connection, url: urlOf(connection), drop };
}

/** The address of a database behind a unix socket. */
export function urlOf({ host, user, database }: PostgresConnection): string {
  return `postgres://${user}@/${database}?host=${encodeURIComponent(host)}`;
}

async function administer(connection: PostgresConnection, statement: string): Promise<void> {
  const { pool, close } = await openDatabase({ connection, log: silent });
  try {
    await pool.query(statement);
  } finally {
    await close();
  }
}

async function sharedCluster(): Promise<PostgresConnection> {
  const broker = inject("postgresBroker");
  return broker === undefined ? joinOwnCluster() : askBroker(broker);
}

async function askBroker(path: string): Promise<PostgresConnection> {
  const answer: { connection?: PostgresConnection; problem?: string } = JSON.parse(await text(connect(path)));
  if (answer.connection === undefined) {
    throw new Error(`the test cluster did not start: ${answer.problem}`);
  }
  return answer.connection;
}

let own: Promise<TestCluster> | undefined;
let users = 0;

/** Where no broker is configured the process has its own cluster, as long as it has a database in it. */
async function joinOwnCluster(): Promise<PostgresConnection> {
  users += 1;
  own ??= startTestCluster();
  return (await own).connection;
}

async function leaveOwnCluster(): Promise<void> {
  users -= 1;
  if (users === 0 && own !== undefined) {
    const stopping = own;
    own = undefined;
    await (await stopping).stop();
  }
}
