import { readdir, readFile, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { program, testEnvironment } from "./server.js";

export interface ServeOptions {
  readonly dataDir: string;
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Program and arguments put in front, for example to become another user. */
  readonly prefix?: readonly string[];
}

export interface ServeResult {
  readonly code: number | undefined;
  readonly output: string;
}

/** Runs `agent-manager serve` to its end, for servers that do not start. One that does is ended after a while. */
export async function runServe({
  dataDir,
  args = [],
  environment = {},
  prefix = [],
}: ServeOptions): Promise<ServeResult> {
  const serve = [program, "serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0", ...args];
  const [command = "", ...rest] = [...prefix, process.execPath, ...serve];
  const result = await execa(command, rest, {
    env: { ...testEnvironment(), ...environment },
    extendEnv: false,
    reject: false,
    all: true,
    timeout: 20_000,
  });
  if (result.timedOut) throw new Error(`the server started: ${result.all}`);
  return { code: result.exitCode, output: result.all };
}

/** The processes of a data directory's own Postgres. */
export async function findPostgres(dataDir: string): Promise<number[]> {
  const cluster = await realpath(join(dataDir, "postgres")).catch(() => undefined);
  if (cluster === undefined) return [];
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
  const ours = await Promise.all(pids.map((pid) => isPostgresIn(cluster, pid)));
  return pids.filter((_, index) => ours[index]);
}

async function isPostgresIn(cluster: string, pid: number): Promise<boolean> {
  try {
    const inCluster = (await readlink(`/proc/${pid}/cwd`)) === cluster;
    return inCluster && (await readFile(`/proc/${pid}/comm`, "utf8")).trim() === "postgres";
  } catch {
    return false; // ended meanwhile
  }
}
