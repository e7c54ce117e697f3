import { readdir, readFile, readlink, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Logger } from "pino";
import { StartError } from "../domain/start-error.js";

const POLL_MS = 20;
const FAST_SHUTDOWN_MS = 5_000;
const LIMIT_MS = 15_000;

/**
 * Waits until no Postgres of an earlier server uses the cluster, and ends one that stays. The caller holds the
 * data directory, so whatever still runs there is left over: shutting down after the server was killed, or
 * orphaned where the system cannot end it with its parent.
 */
export async function endLeftoverPostgres(clusterDir: string, log: Logger): Promise<void> {
  const pidFile = join(clusterDir, "postmaster.pid");
  const postmaster = Number((await readFile(pidFile, "utf8").catch(() => "")).split("\n")[0]);
  if (!(postmaster > 0)) {
    return;
  }
  const start = Date.now();
  for (let signalled = 0; ; await sleep(POLL_MS)) {
    const pids = await processesOf(clusterDir, postmaster);
    const waitedMs = Date.now() - start;
    if (pids.length === 0) {
      break;
    }
    if (waitedMs > LIMIT_MS) {
      throw new StartError(`a Postgres of an earlier server (pid ${pids[0]}) still uses ${clusterDir}: end it first`);
    }
    if (signalled === 0 || (signalled === 1 && waitedMs > FAST_SHUTDOWN_MS)) {
      log.info({ pids, clusterDir }, "waiting for the Postgres of an earlier server to end");
      signal(pids.includes(postmaster) ? [postmaster] : pids, signalled === 0 ? "SIGINT" : "SIGQUIT");
      signalled += 1;
    }
  }
  // Its pid may belong to someone else by now, above all in a container that was started again, and Postgres
  // would take that for a rival and refuse to start.
  await rm(pidFile, { force: true });
}

/** The postmaster and its children: all of them work in the cluster's folder, as somebody's shell may too. */
async function processesOf(clusterDir: string, postmaster: number): Promise<readonly number[]> {
  if (process.platform !== "linux") {
    return (await looksLikePostgres(postmaster)) ? [postmaster] : [];
  }
  const folder = await realpath(clusterDir);
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
  const ours = await Promise.all(pids.map((pid) => isPostgresIn(folder, pid)));
  return pids.filter((_pid, index) => ours[index]);
}

async function isPostgresIn(folder: string, pid: number): Promise<boolean> {
  try {
    const inFolder = (await readlink(`/proc/${pid}/cwd`)) === folder;
    return inFolder && (await readFile(`/proc/${pid}/comm`, "utf8")).trim() === "postgres";
  } catch {
    return false; // ended, or not ours to look at
  }
}

async function looksLikePostgres(pid: number): Promise<boolean> {
  const { stdout } = await execa("ps", ["-o", "comm=", "-p", String(pid)], { reject: false });
  return stdout.trim().endsWith("postgres");
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // it ended by itself
    }
  }
}
