import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readdir, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { canBecomeNobody } from "../../../test/support/other-user.js";
import { bundleProgram, type Program } from "../../../test/support/program.js";
import { type DataDir, openDataDir } from "./data-dir.js";

const root = process.geteuid?.() === 0;
let program: Program;
let folder: string;
const children: ChildProcess[] = [];
const held: DataDir[] = [];

beforeAll(async () => {
  program = await bundleProgram("test/fixtures/programs/hold-data-dir.ts");
});
afterAll(() => program.remove());
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "am-dir-")));
  await chmod(folder, 0o755);
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
  }
  for (const dataDir of held.splice(0)) {
    await dataDir.release();
  }
  await rm(folder, { recursive: true, force: true });
});

async function open(path: string): Promise<DataDir> {
  const dataDir = await openDataDir(path);
  held.push(dataDir);
  return dataDir;
}

test("a missing directory is made, for its owner only", async () => {
  const path = join(folder, "a", "b");
  expect((await open(path)).path).toBe(path);
  expect((await stat(path)).mode & 0o777).toBe(0o700);
});

test("a second server is refused with the pid of the first, until that is released", async () => {
  const first = await open(folder);
  await expect(openDataDir(folder)).rejects.toThrow(
    new RegExp(`another agent-manager server \\(pid ${process.pid}\\)`),
  );
  await first.release();
  await open(folder);
});

test("a server of another process is named, and its kill leaves nothing that stops the next", async () => {
  const child = await hold(folder);
  await expect(openDataDir(folder)).rejects.toThrow(`(pid ${child.pid})`);
  child.kill("SIGKILL");
  await once(child, "exit");
  await open(folder);
  expect((await readdir(folder)).filter((name) => name.startsWith("server.lock"))).toHaveLength(1);
});

test("a holder that is too busy to answer still holds", async () => {
  const child = await hold(folder);
  child.kill("SIGSTOP");
  await expect(openDataDir(folder)).rejects.toThrow(/another agent-manager server uses/);
});

test("of 20 starters on what a crash left, one gets in", async () => {
  const child = await hold(folder);
  child.kill("SIGKILL");
  await once(child, "exit");
  for (let round = 0; round < 5; round += 1) {
    const starts = await Promise.allSettled(Array.from({ length: 20 }, () => open(folder)));
    expect(starts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await held.pop()?.release();
  }
});

test("a long path can be locked too", async () => {
  const path = join(folder, "x".repeat(120), "y".repeat(120));
  await open(path);
  await expect(openDataDir(path)).rejects.toThrow(`(pid ${process.pid})`);
});

test("a path that is a file is refused with what to do", async () => {
  const path = join(folder, "file");
  await writeFile(path, "");
  await expect(openDataDir(path)).rejects.toThrow(/choose another one with --data-dir or AGENT_MANAGER_HOME/);
  await expect(openDataDir(join(path, "below"))).rejects.toThrow(/cannot make the data directory.*ENOTDIR/);
});

test("a directory that everybody can write to is refused", async () => {
  await chmod(folder, 0o777);
  await expect(openDataDir(folder)).rejects.toThrow(/everybody can write to/);
});

test.runIf(root)("a directory of somebody else is refused", async () => {
  const path = join(folder, "theirs");
  await mkdir(path);
  await chown(path, 65534, 65534);
  await expect(openDataDir(path)).rejects.toThrow(/belongs to user 65534, and this is user 0/);
});

test.runIf(canBecomeNobody)("a directory that an ordinary user cannot write to is refused", async () => {
  const path = join(folder, "readonly");
  await mkdir(path);
  await chown(path, 65534, 65534);
  await chmod(path, 0o500);
  await expect(hold(path, true)).rejects.toThrow(/is not writable/);
  await expect(hold(join(folder, "new"), true)).rejects.toThrow(/cannot make the data directory.*EACCES/);
});

async function hold(path: string, asNobody = false): Promise<ChildProcess> {
  const nobody = asNobody ? { uid: 65534, gid: 65534 } : {};
  const child = spawn(process.execPath, [program.path, path], { stdio: ["ignore", "pipe", "inherit"], ...nobody });
  children.push(child);
  const [line] = await once(createInterface(child.stdout), "line");
  if (line !== "held") {
    throw new Error(String(line));
  }
  return child;
}
