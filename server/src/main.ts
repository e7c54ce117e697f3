import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { HealthCheckResponse_ServingStatus as ServingStatus } from "@agent-manager/sdk/proto";
import { type Logger, pino } from "pino";
import { loadConfig, type ServeFlags, type ServerConfig } from "./config.js";
import { type DataDir, openDataDir } from "./database/data-dir.js";
import { startEmbeddedPostgres } from "./database/embedded-postgres.js";
import { migrate } from "./database/migrate.js";
import { type OpenDatabase, openDatabase } from "./database/pool.js";
import { isId } from "./domain/ids.js";
import { StartError } from "./domain/start-error.js";
import type { ExecutionContext } from "./execution/execution-context.js";
import { Executor } from "./execution/executor.js";
import { RunChanges } from "./execution/run-changes.js";
import { RunKeeper } from "./execution/run-keeper.js";
import { writeDurably } from "./execution/supervisor/durable-file.js";
import { LogHub } from "./log/log-hub.js";
import { LogWriter } from "./log/log-writer.js";
import { WakeUps } from "./log/wake-ups.js";
import { createReviewer } from "./review/local-reviewer.js";
import { runners } from "./runners/registry.js";
import { createLocalSandboxProvider } from "./sandbox/local/local-provider.js";
import { loadAuthenticator } from "./security/principals.js";
import { loadOrCreateToken } from "./security/token.js";
import { registerServices, type ServiceParts } from "./services/services.js";
import { refuseUnstorableText } from "./services/storable-text.js";
import { migrations } from "./store/migrations/index.js";
import type { Database } from "./store/schema.js";
import { Activity } from "./transport/activity.js";
import { HealthState, registerHealth } from "./transport/health.js";
import { createListener } from "./transport/listener.js";
import { registerReflection } from "./transport/reflection.js";

/** How long calls under way may take to finish when the server leaves. */
const SHUTDOWN_GRACE_MS = 5_000;
const HEALTH_INTERVAL_MS = 2_000;

export interface RunningServer {
  readonly url: string;
  readonly token: string;
  readonly dataDir: string;
  /** Resolves when the server has ended, whoever ended it. */
  readonly closed: Promise<void>;
  /** Ends the server; its agents go on and the next server finds them. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Builds every part, listens and returns. Throws StartError or ConfigError, with a sentence for the one who
 * started it, when that cannot be done; nothing is left running then.
 */
export async function serve(flags: ServeFlags): Promise<RunningServer> {
  const { config } = loadConfig(flags, process.env);
  const log = pino({ level: config.log_level }, pino.destination(2));
  const cleanUp = new CleanUp(log);
  try {
    return await start(config, log, cleanUp);
  } catch (error) {
    await cleanUp.run();
    throw error;
  }
}

async function start(config: ServerConfig, log: Logger, cleanUp: CleanUp): Promise<RunningServer> {
  const dataDir = await openDataDir(config.data_dir);
  cleanUp.add(() => dataDir.release());
  const token = await loadOrCreateToken(dataDir.path);
  const authenticator = await loadAuthenticator(dataDir.path);
  const tls = await readTls(config);
  const database = await openStorage(config, dataDir, log, cleanUp);
  const leaving = new AbortController();
  const parts = await buildParts(config, dataDir, database, log, leaving.signal, cleanUp);
  const activity = new Activity();
  const health = new HealthState();
  const listener = createListener({
    routes: (router) => {
      registerHealth(router, health);
      registerReflection(router);
      registerServices(router, parts);
    },
    interceptors: [activity.interceptor, refuseUnstorableText],
    authenticator,
    allowedHosts: config.allowed_hosts,
    allowedOrigins: config.allowed_origins,
    ...(tls && { tls }),
    log,
  });
  // in the opposite order: refuse calls, leave the agents, wait for what runs, close the rest
  cleanUp.add(() => leaving.abort());
  cleanUp.add(() => listener.close({ graceMs: SHUTDOWN_GRACE_MS }));
  const { url } = await listener.listen(config.listen);
  cleanUp.add(publishAddress(dataDir, url));
  cleanUp.add(watchHealth(health, database));
  cleanUp.add(() => health.set(ServingStatus.NOT_SERVING));
  parts.executor.start();
  log.info({ url, data_dir: dataDir.path }, "serving");

  let ended = () => {};
  const closed = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const close = async () => {
    await cleanUp.run();
    ended();
  };
  if (config.exit_when_idle_ms > 0) {
    cleanUp.add(leaveWhenIdle(close, () => parts.executor.activeRuns > 0, activity, config.exit_when_idle_ms));
  }
  return { url, token, dataDir: dataDir.path, closed, close };
}

async function openStorage(
  config: ServerConfig,
  dataDir: DataDir,
  log: Logger,
  cleanUp: CleanUp,
): Promise<OpenDatabase<Database>> {
  const embedded = config.database_url === "" ? await startEmbeddedPostgres({ dataDir: dataDir.path, log }) : undefined;
  if (embedded) cleanUp.add(() => embedded.stop());
  const source = embedded ? { connection: embedded.connection } : { url: config.database_url };
  const database = await openDatabase<Database>({ ...source, log });
  cleanUp.add(() => database.close());
  await migrate(database.db, migrations);
  return database;
}

async function buildParts(
  config: ServerConfig,
  dataDir: DataDir,
  { db, pool }: OpenDatabase<Database>,
  log: Logger,
  signal: AbortSignal,
  cleanUp: CleanUp,
): Promise<ServiceParts> {
  const hub = new LogHub();
  const wakeUps = new WakeUps({ db, pool, hub, log });
  wakeUps.start();
  cleanUp.add(() => wakeUps.close());
  const writer = new LogWriter({
    db,
    hub,
    onRetry: (error) => log.warn({ err: error }, "the log cannot be appended to; trying again"),
  });
  const context: ExecutionContext = {
    db,
    hub,
    writer,
    changes: new RunChanges({ db, hub }),
    sandboxesIn: (path) => createLocalSandboxProvider({ stateDir: join(path, "sandboxes"), log }),
    reviewer: createReviewer({ log }),
    runners,
    runnerCommands: runnerCommands(config),
    log,
    serverId: await readServerId(dataDir.path),
    dataDir: dataDir.path,
    graceMs: config.stop_grace_ms,
    maxActiveRuns: config.max_active_runs,
    maxOutputBytes: config.max_output_bytes,
    diskFullLimitMs: config.disk_full_limit_ms,
    leaseTtlMs: config.lease_ttl_ms,
    hostLostMs: config.host_lost_ms,
    serverEnvironment: process.env,
    signal,
  };
  const executor = new Executor(context);
  const keeper = new RunKeeper(context);
  keeper.start();
  cleanUp.add(async () => {
    writer.close();
    await Promise.all([executor.close(), keeper.close()]);
  });
  return { ...context, executor, projectRoots: config.project_roots };
}

function runnerCommands(config: ServerConfig): Record<string, string> {
  const entries = Object.entries(config.runner_commands);
  return Object.fromEntries(
    entries.map(([id, value]) => [id, typeof value === "string" ? value : JSON.stringify(value)]),
  );
}

/** The runs whose agents are on this host belong to the data directory, not to one life of the server. */
async function readServerId(dataDir: string): Promise<string> {
  const path = join(dataDir, "server-id");
  const known = await readFile(path, "utf8").catch(() => "");
  if (isId(known.trim())) return known.trim();
  const id = randomUUID();
  writeDurably(path, `${id}\n`);
  return id;
}

async function readTls({ tls_cert, tls_key }: ServerConfig) {
  if (tls_cert === "" && tls_key === "") return undefined;
  if (tls_cert === "" || tls_key === "")
    throw new StartError("TLS needs both a certificate and a key: give --tls-cert and --tls-key");
  const read = (path: string) =>
    readFile(path, "utf8").catch(() => {
      throw new StartError(`cannot read ${path}: give a PEM file that the server may read`);
    });
  return { cert: await read(tls_cert), key: await read(tls_key) };
}

/** Lets the command and the SDK on this machine find the server. */
function publishAddress(dataDir: DataDir, url: string): () => Promise<void> {
  const path = join(dataDir.path, "server.json");
  writeDurably(path, JSON.stringify({ pid: process.pid, url }));
  return () => rm(path, { force: true });
}

/** SERVING means that the log can be appended to. */
function watchHealth(health: HealthState, database: OpenDatabase<Database>): () => void {
  const check = async () => health.set((await database.ready()) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);
  void check();
  const timer = setInterval(() => void check(), HEALTH_INTERVAL_MS);
  return () => clearInterval(timer);
}

function leaveWhenIdle(
  close: () => Promise<void>,
  busy: () => boolean,
  activity: Activity,
  limitMs: number,
): () => void {
  const check = () => {
    if (!busy() && activity.idleMs() >= limitMs) void close();
  };
  const timer = setInterval(check, Math.min(limitMs, 1_000));
  return () => clearInterval(timer);
}

/** What was opened, closed in the opposite order, once. */
class CleanUp {
  readonly #steps: (() => Promise<void>)[] = [];
  #done: Promise<void> | undefined;

  constructor(readonly log: Logger) {}

  add(step: () => void | Promise<void>): void {
    this.#steps.push(async () => step());
  }

  run(): Promise<void> {
    this.#done ??= this.#runAll();
    return this.#done;
  }

  async #runAll(): Promise<void> {
    for (const step of this.#steps.reverse()) {
      await step().catch((error: unknown) => this.log.warn({ err: error }, "something did not close cleanly"));
    }
  }
}
