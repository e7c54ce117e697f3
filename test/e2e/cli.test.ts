import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { projectMaker, script } from "../support/scripted-run.js";
import { makeFolder, program, testEnvironment } from "../support/server.js";

let folder: Awaited<ReturnType<typeof makeFolder>>;
let dataDir = "";
const makeProject = projectMaker(() => folder.path);

beforeEach(async () => {
  folder = await makeFolder();
  dataDir = join(folder.path, "data");
});

afterEach(async () => {
  await endServer("SIGTERM");
  await folder.remove();
});

/** Starts the command as a shell would; nothing serves in its data directory yet. */
function start(args: readonly string[], { cwd = folder.path, env = {} }: { cwd?: string; env?: object } = {}) {
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { ...testEnvironment(), AGENT_MANAGER_HOME: dataDir, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const done = once(child, "close").then(([code]) => ({ code, out, err }));
  return { child, done, output: () => out };
}

async function endServer(signal: NodeJS.Signals): Promise<void> {
  const pid = await serverPid();
  if (pid === undefined) return;
  try {
    process.kill(pid, signal);
    for (;;) {
      await sleep(20);
      process.kill(pid, 0);
    }
  } catch {
    // it has ended
  }
}

async function serverPid(): Promise<number | undefined> {
  try {
    return JSON.parse(await readFile(join(dataDir, "server.json"), "utf8")).pid;
  } catch {
    return undefined;
  }
}

const edit = script({ say: "working" }, { write: { path: "a.txt", content: "one\nTWO\nthree\n" } });

test("two runs at once on a machine without a server start one, and both are applied", async () => {
  const projects = [await makeProject(), await makeProject()];
  const runs = projects.map((cwd) => start(["run", edit, "--yes"], { cwd }));
  const results = await Promise.all(runs.map(({ done }) => done));
  expect(results.map(({ code, err }) => ({ code, errors: err.includes("error:") }))).toEqual([
    { code: 0, errors: false },
    { code: 0, errors: false },
  ]);
  expect(results.filter(({ err }) => err.includes("started a server in the background"))).toHaveLength(1);
  for (const project of projects) {
    expect(await readFile(join(project, "a.txt"), "utf8")).toBe("one\nTWO\nthree\n");
  }
});

test("what is left for review is found, shown and approved by later commands", async () => {
  const cwd = await makeProject();
  expect((await start(["run", edit], { cwd }).done).code).toBe(3);
  expect((await start(["runs", "--state", "needs-review"]).done).out).toContain("needs review");
  expect((await start(["diff", "last"]).done).out).toContain("+TWO");
  expect((await start(["approve", "last"]).done).code).toBe(0);
  expect(await readFile(join(cwd, "a.txt"), "utf8")).toBe("one\nTWO\nthree\n");
  expect((await start(["approve", "last"]).done).code).toBe(0);
  const shown = JSON.parse((await start(["show", "last", "--json"]).done).out);
  expect(shown).toMatchObject({ state: "RUN_STATE_COMPLETED", projectRoot: cwd });
});

test("--json prints gapless events and ends with the outcome", async () => {
  const cwd = await makeProject();
  const { code, out } = await start(["run", edit, "--yes", "--json"], { cwd }).done;
  const lines = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const outcome = lines.pop();
  expect(code).toBe(0);
  expect(lines.map(({ sequence }) => Number(sequence))).toEqual(lines.map((_, index) => index + 1));
  expect(outcome).toMatchObject({ outcome: { kind: "succeeded", review: "approved", appliedFiles: ["a.txt"] } });
});

test("Ctrl-C stops the run and says so", async () => {
  const cwd = await makeProject();
  const run = start(["run", script({ say: "here" }, { sleep_ms: 60_000 })], { cwd });
  await expect.poll(run.output, { timeout: 20_000 }).toContain("here");
  run.child.kill("SIGINT");
  const { code, out } = await run.done;
  expect(out).toContain("stopping the run");
  expect(code).toBe(8);
});

test("a run that is followed outlives its server: killed with -9 and started again elsewhere, nothing is missing", async () => {
  const cwd = await makeProject();
  const slow = script({ say: "before" }, { sleep_ms: 3_000 }, { say: "after" });
  const run = start(["run", slow, "--json"], { cwd });
  await expect.poll(run.output, { timeout: 20_000 }).toContain("before");
  await endServer("SIGKILL");
  expect((await start(["runs"]).done).code).toBe(0); // starts the next server, on another port
  const { code, out } = await run.done;
  const lines = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.pop()).toMatchObject({ outcome: { kind: "noChanges" } });
  expect(lines.map(({ sequence }) => Number(sequence))).toEqual(lines.map((_, index) => index + 1));
  expect(out).toContain("after");
  expect(code).toBe(0);
});

test("wrong projects and runners are said in a sentence", async () => {
  const absent = await start(["run", "x", "--project", join(folder.path, "nowhere")]).done;
  expect(absent).toMatchObject({ code: 1, err: expect.stringContaining("nowhere") });
  const unknown = await start(["run", "x", "--runner", "hal", "--project", await makeProject()]).done;
  expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining("hal") });
  expect(absent.err + unknown.err).not.toContain("    at ");
});

test("doctor passes here, and fails without git", async () => {
  const { code, out } = await start(["doctor"]).done;
  expect(out).toMatch(/✓ git .*\n✓ data directory .*\n✓ service .*\n✓ database .*\n/);
  expect(code).toBe(0);
  const bin = join(folder.path, "bin");
  await mkdir(bin);
  await symlink(process.execPath, join(bin, "node"));
  const without = await start(["doctor"], { env: { PATH: bin } }).done;
  expect(without).toMatchObject({ code: 1, out: expect.stringContaining("✗ git") });
});

test("config names each value's source, secrets left out", async () => {
  const { out } = await start(["config"], { env: { DATABASE_URL: "postgres://me:secret@db/x" } }).done;
  expect(out).toMatch(/data_dir +environment/);
  expect(out).toMatch(/database_url +environment +postgres:\/\/me:\*\*\*@db\/x/);
  expect(out).toMatch(/listen +default +127\.0\.0\.1:7717/);
});

test("the demo passes and leaves nothing behind", async () => {
  const demo = fileURLToPath(new URL("../../server/demo/demo.mjs", import.meta.url));
  const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith("am-demo-"));
  const before = left();
  const child = spawn(process.execPath, [demo], { env: testEnvironment(), stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  const [code] = await once(child, "close");
  expect(code).toBe(0);
  expect(out).toMatch(/✖ the sum[\s\S]*\+ {2}let total = 0;[\s\S]*✓ applied 1 file[\s\S]*✔ the sum/);
  expect(left()).toEqual(before);
});
