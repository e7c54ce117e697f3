import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SandboxError } from "../sandbox-provider.js";
import { copyWithNode } from "./copy-tree.js";
import { createLocalSandboxProvider } from "./local-provider.js";

let home: string;
let project: string;
let stateDir: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "am-sandbox-"));
  project = join(home, "project");
  stateDir = join(home, "state/sandboxes");
  mkdirSync(project);
});

afterEach(() => {
  execFileSync("chmod", ["-R", "u+rwX", home]);
  rmSync(home, { recursive: true, force: true });
});

const provider = () => createLocalSandboxProvider({ stateDir });
const create = (sandboxId = "run-1", projectRoot = project) => provider().create({ sandboxId, projectRoot });

describe("making a sandbox", () => {
  test("copies everything a developer sees: untracked, ignored, links, modes and times", async () => {
    makeRepository(project);
    writeFileSync(join(project, ".gitignore"), "secret\n");
    writeFileSync(join(project, "secret"), "s");
    writeFileSync(join(project, "ünï\n'quoted'"), "odd");
    writeFileSync(join(project, "run.sh"), "#!/bin/sh\n");
    chmodSync(join(project, "run.sh"), 0o755);
    utimesSync(join(project, "run.sh"), 1_600_000_000, 1_600_000_000);
    symlinkSync("nowhere", join(project, "dangling"));
    const { workspace } = await create();
    expect(readdirSync(workspace).sort()).toEqual(readdirSync(project).sort());
    expect(lstatSync(join(workspace, "run.sh")).mode).toBe(lstatSync(join(project, "run.sh")).mode);
    expect(lstatSync(join(workspace, "run.sh")).mtimeMs).toBe(1_600_000_000_000);
    expect(readlinkSync(join(workspace, "dangling"))).toBe("nowhere");
    expect(git(workspace, "status", "--porcelain", "--", "tracked")).toBe("");
  });

  test("the way without cp copies the same", async () => {
    writeFileSync(join(project, "run.sh"), "x");
    chmodSync(join(project, "run.sh"), 0o755);
    symlinkSync("../outside", join(project, "link"));
    execFileSync("mkfifo", [join(project, "pipe")]);
    const to = join(home, "copy");
    mkdirSync(to);
    await copyWithNode({ from: project, to });
    expect(readdirSync(to).sort()).toEqual(["link", "run.sh"]);
    expect(lstatSync(join(to, "run.sh")).mode & 0o777).toBe(0o755);
    expect(readlinkSync(join(to, "link"))).toBe("../outside");
  });

  test("pipes are left out with a note", async () => {
    execFileSync("mkfifo", [join(project, "pipe")]);
    const sandbox = await create();
    expect(existsSync(join(sandbox.workspace, "pipe"))).toBe(false);
    expect(sandbox.notes.join()).toContain("pipe");
  });

  test("the same id gives the same sandbox, with what the agent did in it", async () => {
    const first = await create();
    writeFileSync(join(first.workspace, "work"), "done");
    expect(await create()).toEqual(first);
    expect(existsSync(join(first.workspace, "work"))).toBe(true);
  });

  test("calls for one id at once make one sandbox", async () => {
    writeFileSync(join(project, "a"), "a");
    const shared = provider();
    const made = await Promise.all(
      Array.from({ length: 5 }, () => shared.create({ sandboxId: "r", projectRoot: project })),
    );
    expect(new Set(made.map(({ workspace }) => workspace)).size).toBe(1);
    expect(await shared.list()).toEqual(["r"]);
  });

  test("a half-made sandbox is no sandbox, is listed, and is made again", async () => {
    const { workspace } = await create();
    writeFileSync(join(workspace, "leftover"), "");
    rmSync(join(stateDir, "run-1/meta.json"));
    expect(await provider().open("run-1")).toBeUndefined();
    expect(await provider().list()).toEqual(["run-1"]);
    await create();
    expect(existsSync(join(workspace, "leftover"))).toBe(false);
    expect((await provider().open("run-1"))?.projectRoot).toBe(project);
  });

  test("a folder that a crash left before it was marked as ours is made anew", async () => {
    for (const left of [[], ["agent-manager-sandbox.tmp"], ["meta.json.tmp"]]) {
      mkdirSync(join(stateDir, "run-1"), { recursive: true });
      for (const name of left) writeFileSync(join(stateDir, "run-1", name), "");
      expect(existsSync((await create()).workspace)).toBe(true);
      await provider().destroy("run-1");
    }
  });

  test("an abort removes the half-made copy", async () => {
    for (let index = 0; index < 300; index += 1) writeFileSync(join(project, `f${index}`), "x".repeat(10_000));
    const controller = new AbortController();
    const made = provider().create({ sandboxId: "run-1", projectRoot: project, signal: controller.signal });
    setTimeout(() => controller.abort(), 2);
    await expect(made).rejects.toMatchObject({ name: "SandboxError", code: "aborted" });
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test.each([
    ["a project that does not exist", () => join(home, "absent"), "project_missing"],
    ["a project that is a file", () => join(home, "file"), "project_missing"],
    ["the whole file system", () => "/", "unsupported"],
    ["a relative path", () => "project", "unsupported"],
    ["a project that holds the state folder", () => home, "unsupported"],
    ["a project inside the state folder", () => join(stateDir, "inner"), "unsupported"],
  ])("%s is refused", async (_, projectRoot, code) => {
    writeFileSync(join(home, "file"), "");
    mkdirSync(join(stateDir, "inner"), { recursive: true });
    await expect(create("run-1", projectRoot())).rejects.toSatisfy(
      (error) => error instanceof SandboxError && error.code === code,
    );
    expect(existsSync(join(stateDir, "run-1"))).toBe(false);
  });

  test.each(["../up", "", "a/b", "-rf", ".hidden"])("the id %j is refused", async (id) => {
    await expect(create(id)).rejects.toThrow("no usable folder name");
  });
});

describe("the copy's git", () => {
  test("a linked worktree gets a repository of its own, with head, index and branches", async () => {
    const main = join(home, "main");
    mkdirSync(main);
    makeRepository(main);
    rmSync(project, { recursive: true });
    git(main, "worktree", "add", "-q", "-b", "topic", project);
    writeFileSync(join(project, "staged"), "s");
    git(project, "add", "staged");
    const before = hashTree(home);
    const { workspace } = await create();
    expect(git(workspace, "status", "--porcelain")).toBe("A  staged");
    expect(git(workspace, "rev-parse", "--abbrev-ref", "HEAD")).toBe("topic");
    spoilRepository(workspace);
    rmSync(join(home, "state"), { recursive: true });
    expect(hashTree(home)).toBe(before);
  });

  test("a linked .git folder gets a repository of its own", async () => {
    const main = join(home, "main");
    mkdirSync(main);
    makeRepository(main);
    symlinkSync(join(main, ".git"), join(project, ".git"));
    const before = hashTree(main);
    const { workspace } = await create();
    spoilRepository(workspace);
    expect(hashTree(main)).toBe(before);
  });

  test("a submodule with an absolute way back gets a repository of its own", async () => {
    const library = join(home, "library");
    mkdirSync(library);
    makeRepository(library);
    makeRepository(project);
    git(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", library, "sub");
    writeFileSync(join(project, "sub/.git"), `gitdir: ${join(project, ".git/modules/sub")}\n`);
    git(project, "config", "--file", join(project, ".git/modules/sub/config"), "core.worktree", join(project, "sub"));
    const before = hashTree(project);
    const { workspace } = await create();
    expect(git(join(workspace, "sub"), "rev-parse", "--show-toplevel")).toBe(join(workspace, "sub"));
    spoilRepository(join(workspace, "sub"));
    expect(hashTree(project)).toBe(before);
  });

  test("worktrees of the original cannot be removed from the copy", async () => {
    makeRepository(project);
    const linked = join(home, "linked");
    git(project, "worktree", "add", "-q", "--detach", linked);
    const { workspace } = await create();
    expect(git(workspace, "worktree", "list").split("\n")).toHaveLength(1);
    expect(existsSync(linked)).toBe(true);
  });

  test("an absolute core.worktree and a stale lock do not come along", async () => {
    makeRepository(project);
    git(project, "config", "core.worktree", project);
    writeFileSync(join(project, ".git/index.lock"), "");
    const { workspace } = await create();
    writeFileSync(join(workspace, "tracked"), "agent");
    git(workspace, "checkout", "-q", "--", ".");
    expect(readFileSync(join(workspace, "tracked"), "utf8")).toBe("tracked\n");
    git(workspace, "clean", "-qfdx");
    expect(existsSync(join(project, ".git/index.lock"))).toBe(true);
  });
});

describe("life of a sandbox", () => {
  test("destroying removes read-only folders and never what links point to", async () => {
    const outside = join(home, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "kept"), "");
    const { workspace } = await create();
    mkdirSync(join(workspace, "locked/deep"), { recursive: true });
    writeFileSync(join(workspace, "locked/deep/file"), "");
    symlinkSync(outside, join(workspace, "locked/link"));
    chmodSync(join(workspace, "locked/deep"), 0o000);
    chmodSync(join(workspace, "locked"), 0o500);
    await provider().destroy("run-1");
    await provider().destroy("run-1");
    expect(readdirSync(stateDir)).toEqual([]);
    expect(existsSync(join(outside, "kept"))).toBe(true);
  });

  test("a folder that is not ours is neither listed nor removed nor filled", async () => {
    mkdirSync(join(stateDir, "mine"), { recursive: true });
    writeFileSync(join(stateDir, "mine/precious"), "");
    await provider().destroy("mine");
    expect(await provider().list()).toEqual([]);
    await expect(create("mine")).rejects.toThrow("was not made by agent-manager");
    expect(readdirSync(join(stateDir, "mine"))).toEqual(["precious"]);
  });

  test("a program starts in the same place of the workspace", async () => {
    mkdirSync(join(project, "packages/a"), { recursive: true });
    const sandbox = await create();
    const program = { command: ["agent", "--go"] as const, environment: { A: "1" } };
    const launched = (workingDirectory: string) =>
      provider().launch(sandbox, { command: ["agent", "--go"], environment: program.environment, workingDirectory });
    expect(launched(join(project, "packages/a")).workingDirectory).toBe(join(sandbox.workspace, "packages/a"));
    expect(launched(project).workingDirectory).toBe(sandbox.workspace);
    expect(launched("/elsewhere").workingDirectory).toBe(sandbox.workspace);
    expect(launched(project)).toMatchObject({ command: program.command, environment: program.environment });
  });

  test("the probe says openly that the copy driver confines nothing", async () => {
    const probe = await provider().probe();
    expect(probe).toMatchObject({ available: true, driver: "copy", confined: false });
    expect(probe.notes.join()).toContain("not prevented");
  });

  test("the probe says why it cannot serve", async () => {
    writeFileSync(join(home, "file"), "");
    const probe = await createLocalSandboxProvider({ stateDir: join(home, "file/below") }).probe();
    expect(probe.available).toBe(false);
    expect(probe.notes[0]).toContain("cannot be written");
  });
});

function makeRepository(folder: string): void {
  git(folder, "init", "-q", "-b", "main");
  writeFileSync(join(folder, "tracked"), "tracked\n");
  git(folder, "add", "tracked");
  git(folder, "commit", "-q", "-m", "first");
}

/** What an agent may do with the repository that it finds. */
function spoilRepository(folder: string): void {
  writeFileSync(join(folder, "tracked"), "agent\n");
  git(folder, "commit", "-q", "-a", "-m", "by the agent");
  git(folder, "branch", "agent-branch");
  git(folder, "config", "user.name", "agent");
  git(folder, "stash", "list");
  git(folder, "gc", "-q", "--prune=now");
}

function git(cwd: string, ...args: readonly string[]): string {
  const identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
  return execFileSync("git", [...identity, ...args], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  }).trimEnd();
}

function hashTree(folder: string): string {
  const hash = createHash("sha256");
  const visit = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const inner = join(path, entry.name);
      hash.update(`${inner}\0${lstatSync(inner).mode}\0`);
      if (entry.isDirectory()) visit(inner);
      else if (entry.isFile()) hash.update(readFileSync(inner));
      else if (entry.isSymbolicLink()) hash.update(readlinkSync(inner));
    }
  };
  visit(folder);
  return hash.digest("hex");
}
