import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { open, rename, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { StartError } from "../domain/start-error.js";
import { type ClusterOptions, POSTGRES_USER } from "./postgres-cluster.js";

export interface PostgresOptions extends ClusterOptions {
  /** An absolute path, short enough for a socket in it. */
  readonly socketDir: string;
  readonly logFile: string;
}

/** One running postmaster. */
export interface PostgresProcess {
  readonly pid: number;
  /** Resolves with how it ended, in words. */
  readonly exited: Promise<string>;
  /** Ends it, gently if it lets us; resolves when it is gone. */
  stop(): Promise<void>;
}

/** The database that exists in every cluster; the cluster is ours alone, so it needs no other. */
export const POSTGRES_DATABASE = "postgres";

const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
const POLL_MS = 10;
/** Crash recovery reads at most max_wal_size, so this is far more than it takes. */
const READY_LIMIT_MS = 120_000;

/** Starts Postgres and resolves when it answers queries; throws StartError with the end of its log otherwise. */
export async function startPostgres(options: PostgresOptions): Promise<PostgresProcess> {
  await rotateLog(options.logFile);
  const logStart = await sizeOf(options.logFile);
  const child = spawnPostgres(options);
  const exited = endOf(child);
  const running = { pid: child.pid ?? 0, exited, stop: () => stop(child, exited) };
  const asking = new AbortController();
  const outcome = await Promise.race([exited, answering(options.socketDir, asking.signal)]);
  asking.abort();
  if (outcome === "answers") {
    child.unref(); // what keeps the process alive is its own business; Postgres follows it
    return running;
  }
  await running.stop();
  const detail = (await readFrom(options.logFile, logStart)).trim().split("\n").slice(-5).join("; ");
  throw new StartError(
    `the embedded Postgres in ${options.clusterDir} ${outcome}: ${detail || `see ${options.logFile}`}; ` +
      "mend that, or set DATABASE_URL",
  );
}

function spawnPostgres({ program, launcher, clusterDir, socketDir, logFile }: PostgresOptions): ChildProcess {
  const [command = "", ...args] = [...launcher.prefix, program.postgres, "-D", clusterDir, ...settings(socketDir)];
  const logFd = openSync(logFile, "a", 0o600);
  try {
    // its own session, so that a Ctrl-C meant for the server does not take the database away while it shuts down
    return spawn(command, args, { env: program.environment, stdio: ["ignore", logFd, logFd], detached: true });
  } finally {
    closeSync(logFd);
  }
}

/** Durable (fsync and synchronous_commit are on by default), reachable by the socket only, and small. */
function settings(socketDir: string): readonly string[] {
  const values = {
    listen_addresses: "",
    unix_socket_directories: socketDir,
    unix_socket_permissions: "0700",
    max_connections: "50",
    shared_buffers: "64MB",
    max_wal_size: "512MB",
    jit: "off",
    log_line_prefix: "%m [%p] ",
    log_checkpoints: "off",
    log_timezone: "UTC",
    timezone: "UTC",
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(`cannot be started (${error.message})`));
    child.once("exit", (code, signal) =>
      resolve(signal === null ? `ended with code ${code}` : `was ended by ${signal}`),
    );
  });
}

async function stop(child: ChildProcess, exited: Promise<string>): Promise<void> {
  child.ref();
  // fast shutdown, then without a checkpoint, then the hard way; the log makes all of them safe
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    child.kill(signal);
    const gaveUp = new AbortController();
    const patience = sleep(10_000, "still there", { signal: gaveUp.signal }).catch(() => "gone");
    const outcome = await Promise.race([exited, patience]);
    gaveUp.abort();
    if (outcome !== "still there") {
      return;
    }
  }
}

async function answering(socketDir: string, signal: AbortSignal): Promise<"answers" | "does not answer"> {
  const start = Date.now();
  for (; !signal.aborted && Date.now() - start < READY_LIMIT_MS; await sleep(POLL_MS)) {
    if (await answers(socketDir)) {
      return "answers";
    }
  }
  return "does not answer";
}

async function answers(socketDir: string): Promise<boolean> {
  const client = new pg.Client({
    host: socketDir,
    user: POSTGRES_USER,
    database: POSTGRES_DATABASE,
    connectionTimeoutMillis: 1000,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

async function rotateLog(logFile: string): Promise<void> {
  if ((await sizeOf(logFile)) > LOG_LIMIT_BYTES) {
    await rename(logFile, `${logFile}.1`);
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

async function readFrom(path: string, position: number): Promise<string> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(64 * 1024), position });
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}
