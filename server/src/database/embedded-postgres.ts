import { chmod, lstat, mkdir, mkdtemp, readlink, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { POSTGRES_USER, prepareCluster } from "./postgres-cluster.js";
import { findLauncher } from "./postgres-launcher.js";
import { endLeftoverPostgres } from "./postgres-leftover.js";
import { POSTGRES_DATABASE, type PostgresOptions, type PostgresProcess, startPostgres } from "./postgres-process.js";
import { findPostgresProgram } from "./postgres-program.js";

/** Where a Postgres listens that needs no password. */
export interface PostgresConnection {
  /** The folder of its unix socket. */
  readonly host: string;
  readonly user: string;
  readonly database: string;
}

/** A Postgres of our own in the data directory; started again by itself whenever it dies. */
export interface EmbeddedPostgres {
  readonly connection: PostgresConnection;
  /** The postmaster that runs now; another one after a restart. */
  pid(): number;
  /** Resolves when it has ended for good, which only stop() makes it do. */
  readonly exited: Promise<void>;
  /** Ends it; what it acknowledged is on disk. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** A data directory that the caller holds (openDataDir). */
  readonly dataDir: string;
  readonly log: Logger;
}

/** A socket's path may have 107 bytes (103 on macOS), and Postgres adds "/.s.PGSQL.5432.lock". */
const SOCKET_DIR_LIMIT_BYTES = 84;
const FIRST_RESTART_MS = 100;
const LAST_RESTART_MS = 10_000;

/** Starts the Postgres of a data directory, making its cluster the first time. Throws StartError. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = await realpath(options.dataDir);
  const clusterDir = join(dataDir, "postgres");
  const [program, launcher] = await Promise.all([findPostgresProgram(join(dataDir, "postgres-lib")), findLauncher()]);
  await endLeftoverPostgres(clusterDir, options.log);
  await prepareCluster({ program, launcher, clusterDir });
  const socketDir = await makeSocketDir(join(dataDir, "pg"));
  const logFile = join(dataDir, "postgres.log");
  const keeper = new Keeper({ program, launcher, clusterDir, socketDir, logFile }, options.log);
  await keeper.start();
  const exited = keeper.keepRunning().finally(() => removeSocketDir(join(dataDir, "pg")));
  return {
    connection: { host: socketDir, user: POSTGRES_USER, database: POSTGRES_DATABASE },
    pid: () => keeper.pid,
    exited,
    stop: () => {
      keeper.leave();
      return exited;
    },
  };
}

/** Keeps one Postgres running until it is told to leave. */
class Keeper {
  readonly #options: PostgresOptions;
  readonly #log: Logger;
  readonly #leaving = new AbortController();
  #running: PostgresProcess | undefined;

  constructor(options: PostgresOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  get pid(): number {
    return this.#running?.pid ?? 0;
  }

  async start(): Promise<void> {
    this.#running = await startPostgres(this.#options);
  }

  leave(): void {
    this.#leaving.abort();
  }

  async keepRunning(): Promise<void> {
    const { signal } = this.#leaving;
    const left = new Promise<"left">((resolve) => signal.addEventListener("abort", () => resolve("left")));
    while (this.#running !== undefined) {
      const end = await Promise.race([left, this.#running.exited]);
      if (end === "left") {
        await this.#running.stop();
        return;
      }
      this.#log.error({ end }, "the embedded Postgres died; starting it again");
      this.#running = undefined;
      await this.#restart();
    }
  }

  async #restart(): Promise<void> {
    const { signal } = this.#leaving;
    for (let delayMs = FIRST_RESTART_MS; !signal.aborted; delayMs = Math.min(delayMs * 2, LAST_RESTART_MS)) {
      await sleep(delayMs, undefined, { signal }).catch(() => {});
      try {
        await endLeftoverPostgres(this.#options.clusterDir, this.#log);
        return await this.start();
      } catch (error) {
        this.#log.error({ err: error }, "the embedded Postgres does not start again yet");
      }
    }
  }
}

/**
 * Postgres needs a short path for its socket. Where the data directory's is too long, `wanted` becomes a link
 * to a private folder elsewhere, so that the next start finds and removes what a crash left.
 */
async function makeSocketDir(wanted: string): Promise<string> {
  await removeSocketDir(wanted);
  if (Buffer.byteLength(wanted) <= SOCKET_DIR_LIMIT_BYTES) {
    await mkdir(wanted, { mode: 0o700 });
    return wanted;
  }
  const roots = [tmpdir(), "/tmp"].filter((root) => Buffer.byteLength(root) <= SOCKET_DIR_LIMIT_BYTES - 12);
  const short = await mkdtemp(join(roots[0] ?? "/tmp", "am-pg-"));
  await chmod(short, 0o700);
  await symlink(short, wanted);
  return short;
}

async function removeSocketDir(path: string): Promise<void> {
  const info = await lstat(path).catch(() => undefined);
  if (info?.isSymbolicLink()) {
    await rm(await readlink(path), { recursive: true, force: true });
  }
  await rm(path, { recursive: true, force: true });
}
