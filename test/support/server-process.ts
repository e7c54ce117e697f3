import { readdir, readFile, readlink } from "node:fs/promises";
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
  return findProcesses("postgres", (folder) => folder === join(dataDir, "postgres"));
}

/** The supervisors of a data directory's runs. */
export async function findSupervisors(dataDir: string): Promise<number[]> {
  return findProcesses("agent-manager-s", (folder) => folder.startsWith(join(dataDir, "runs")));
}

/** Processes by name (the first 15 characters) and working directory. Data directories of tests hold no links. */
async function findProcesses(name: string, matches: (folder: string) => boolean): Promise<number[]> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
  const found = await Promise.all(pids.map((pid) => isProcess(pid, name, matches)));
  return pids.filter((_, index) => found[index]);
}

async function isProcess(pid: number, name: string, matches: (folder: string) => boolean): Promise<boolean> {
  try {
    const named = (await readFile(`/proc/${pid}/comm`, "utf8")).trim() === name;
    return named && matches(await readlink(`/proc/${pid}/cwd`));
  } catch {
    return false; // ended meanwhile
  }
}
