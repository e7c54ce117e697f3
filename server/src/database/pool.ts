import { setTimeout as sleep } from "node:timers/promises";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { Logger } from "pino";
import { StartError } from "../domain/start-error.js";
import type { PostgresConnection } from "./embedded-postgres.js";
import { codeOf } from "./error-code.js";

export type DatabaseOptions = { readonly log: Logger } & (
  | { readonly url: string }
  | { readonly connection: PostgresConnection }
);

export interface OpenDatabase<DB> {
  readonly db: Kysely<DB>;
  /** For what kysely cannot do: COPY, LISTEN, prepared statements. */
  readonly pool: pg.Pool;
  /** True if the database answers and takes writes. Never throws. */
  ready(): Promise<boolean>;
  /** Waits for queries that run, then closes every connection. */
  close(): Promise<void>;
}

const OLDEST_VERSION = 150_000;
const RETRY_LIMIT_MS = 5_000;
const READY_LIMIT_MS = 2_000;

/**
 * Opens a pool on a Postgres that answers and is new enough, trying for a few seconds. Throws StartError.
 * bigint columns come as bigint, timestamptz as Date, bytea as Buffer.
 */
export async function openDatabase<DB>(options: DatabaseOptions): Promise<OpenDatabase<DB>> {
  const config = poolConfig(options);
  await checkServer(config);
  const pool = new pg.Pool(config);
  // a connection can break while it is idle and while it is lent out; either would end the process unheard
  pool.on("error", (error) => options.log.warn({ err: error }, "an idle database connection broke"));
  pool.on("connect", (client) =>
    client.on("error", (error) => options.log.debug({ err: error }, "a connection broke")),
  );
  const db = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) });
  return { db, pool, ready: () => ready(pool), close: () => db.destroy() };
}

function poolConfig(options: DatabaseOptions): pg.PoolConfig {
  return {
    ...("url" in options ? { connectionString: options.url } : options.connection),
    application_name: "agent-manager",
    max: 10,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    statement_timeout: 30_000,
    lock_timeout: 10_000,
    idle_in_transaction_session_timeout: 10_000,
    types: { getTypeParser },
  };
}

const getTypeParser: pg.CustomTypesConfig["getTypeParser"] = (oid: number, format?: "text" | "binary") =>
  oid === pg.types.builtins.INT8 && format !== "binary" ? BigInt : pg.types.getTypeParser(oid, format);

async function checkServer(config: pg.PoolConfig): Promise<void> {
  for (const start = Date.now(); ; await sleep(200)) {
    const result = await serverVersion(config);
    if (result.kind === "answered") {
      return checkVersion(result.version, result.address);
    }
    if (isRefusal(result.error) || Date.now() - start > RETRY_LIMIT_MS) {
      throw new StartError(
        `cannot open the database at ${result.address}: ${problemOf(result.error)}; start it there, or correct ` +
          "DATABASE_URL, or unset it to use the embedded one",
      );
    }
  }
}

type VersionResult =
  | { readonly kind: "answered"; readonly version: number; readonly address: string }
  | { readonly kind: "failed"; readonly error: unknown; readonly address: string };

async function serverVersion(config: pg.PoolConfig): Promise<VersionResult> {
  const client = newClient(config);
  const address = addressOf(client);
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version_num: string }>("show server_version_num");
    return { kind: "answered", version: Number(rows[0]?.server_version_num), address };
  } catch (error) {
    return { kind: "failed", error, address };
  } finally {
    await client.end().catch(() => {});
  }
}

function newClient(config: pg.PoolConfig): pg.Client {
  try {
    // anything without a scheme would be taken for a database's name
    if (config.connectionString === undefined || /^postgres(ql)?:\/\//.test(config.connectionString)) {
      return new pg.Client(config);
    }
  } catch {
    // the error's text repeats the address, password included
  }
  throw new StartError(
    "DATABASE_URL is not an address of a database: write postgres://user:password@host:5432/database",
  );
}

/** True if the server itself said no, and not just that it is starting or full. */
function isRefusal(error: unknown): boolean {
  return error instanceof pg.DatabaseError && !["57P03", "53300"].includes(codeOf(error));
}

/** Never the whole URL: it may hold a password. */
function addressOf({ host, port, database }: pg.Client): string {
  return host.startsWith("/") ? `${host} (unix socket), database ${database}` : `${host}:${port}, database ${database}`;
}

/** Postgres says what it refused without the password; an error of several addresses has no text of its own. */
function problemOf(error: unknown): string {
  return (error instanceof Error && error.message) || codeOf(error) || "no answer";
}

function checkVersion(version: number, address: string): void {
  if (version < OLDEST_VERSION) {
    throw new StartError(
      `the database at ${address} is Postgres ${Math.floor(version / 10_000)}: this program needs 15 or newer`,
    );
  }
}

async function ready(pool: pg.Pool): Promise<boolean> {
  const query = pool.query<{ writable: boolean }>(
    "select not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as writable",
  );
  const answer = query.then(
    ({ rows }) => rows[0]?.writable === true,
    () => false,
  );
  const patience = new AbortController();
  const late = sleep(READY_LIMIT_MS, false, { signal: patience.signal }).catch(() => false);
  try {
    return await Promise.race([answer, late]);
  } finally {
    patience.abort();
  }
}
