import { readdir, readFile, readlink } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** The processes whose environment holds one of these entries. Zombies do not count: whoever kept them is dead. */
export async function findByEnvironment(entries: ReadonlySet<string>): Promise<readonly number[]> {
  return findProcesses(async (pid) => {
    const environment = await readFile(`/proc/${pid}/environ`, "latin1");
    return environment.split("\0").some((entry) => entries.has(entry));
  });
}

/** The processes that work in a folder or below it. */
export async function findByFolder(folder: string): Promise<readonly number[]> {
  return findProcesses(async (pid) => isBelow(await readlink(`/proc/${pid}/cwd`), folder));
}

/** The mount points in a folder or below it. */
export async function findMounts(folder: string): Promise<readonly string[]> {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  return mounts.map((line) => line.split(" ")[4] ?? "").filter((path) => isBelow(path, folder));
}

/** The memory that a process holds, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Says in words what a process is, for a failed test. */
export async function describeProcess(pid: number): Promise<string> {
  const command = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
  return `${pid} (${command.replaceAll("\0", " ").trim()})`;
}

/** Waits until a condition holds; throws with what was waited for. */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  { limitMs = 60_000, pauseMs = 20 }: { readonly limitMs?: number; readonly pauseMs?: number } = {},
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain until ${what}`);
    await sleep(pauseMs);
  }
}

async function findProcesses(matches: (pid: number) => Promise<boolean>): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0 && pid !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      try {
        return (await matches(pid)) && (await isRunning(pid));
      } catch {
        return false; // ended meanwhile
      }
    }),
  );
  return pids.filter((_, index) => found[index]);
}

async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  return !["Z", "X"].includes(stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3));
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
