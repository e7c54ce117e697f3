import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ApplyConflictKind } from "@agent-manager/sdk/proto";
import { describe, expect, test } from "vitest";
import { git, hashFolder, type ReviewTrial, readTree, startReviewTrial } from "../../../test/support/review-trial.js";
import type { ApplyResult } from "./reviewer.js";

function put(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** Everything that makes git run a program, planted where the agent can write. */
function plant(folder: string, canary: string): void {
  const script = join(folder, "planted.sh");
  put(script, `#!/bin/sh\necho ran >> '${canary}'\ncat\n`);
  chmodSync(script, 0o755);
  const config = [
    `[core]\n\tfsmonitor = ${script}\n\thooksPath = ${folder}/hooks\n\tsshCommand = ${script}\n\tpager = ${script}`,
    `[filter "evil"]\n\tclean = ${script}\n\tsmudge = ${script}\n\tprocess = ${script}\n\trequired = true`,
    `[diff "evil"]\n\tcommand = ${script}\n\ttextconv = ${script}\n[diff]\n\texternal = ${script}`,
    `[merge "evil"]\n\tdriver = ${script}\n[include]\n\tpath = ${folder}/more.config`,
  ].join("\n");
  appendFileSync(join(folder, ".git/config"), config);
  put(join(folder, ".gitattributes"), "* filter=evil diff=evil merge=evil\n");
  put(join(folder, ".git/info/attributes"), "* filter=evil diff=evil merge=evil\n");
  for (const hook of ["post-index-change", "pre-commit", "reference-transaction", "post-checkout"]) {
    put(join(folder, ".git/hooks", hook), `#!/bin/sh\necho ran >> '${canary}'\n`);
    chmodSync(join(folder, ".git/hooks", hook), 0o755);
  }
}

describe("what an agent plants for git", () => {
  test("never runs: configuration, filters, diff and merge drivers, fsmonitor, hooks, nested repositories", async () => {
    using trial = await startReviewTrial();
    const canary = join(trial.home, "canary");
    plant(trial.workspace, canary);
    mkdirSync(join(trial.workspace, "dir/nested"));
    git(join(trial.workspace, "dir/nested"), "init", "-q");
    plant(join(trial.workspace, "dir/nested"), canary);
    put(join(trial.workspace, "linked/.git"), `gitdir: ${join(trial.workspace, "dir/nested/.git")}\n`);
    put(join(trial.workspace, ".gitmodules"), '[submodule "x"]\n\tpath = linked\n\turl = ext::sh -c canary\n');
    appendFileSync(join(trial.workspace, "a.txt"), "agent\n");
    writeFileSync(join(trial.project, "dir/two"), "human\n");

    const { digest, files } = await trial.reviewer.computeChangeSet(trial.sandbox);
    const result = await trial.reviewer.apply({ sandbox: trial.sandbox, digest });

    expect(result.kind).toBe("applied");
    expect(files.map(({ path }) => path)).toEqual([".gitattributes", ".gitmodules", "a.txt", "planted.sh"]);
    expect(existsSync(canary)).toBe(false);
    // The canary sings when it is asked to, or this test would show nothing.
    spawnSync("git", ["-C", trial.workspace, "status"]);
    expect(existsSync(canary)).toBe(true);
  });

  test("does not hang git: pipes named like its files", async () => {
    using trial = await startReviewTrial();
    for (const name of [".gitattributes", "dir/.gitignore", "dir/.gitattributes", ".mailmap"]) {
      execFileSync("mkfifo", [join(trial.workspace, name)]);
    }
    writeFileSync(join(trial.workspace, "new"), "new");
    const { files, warnings } = await trial.reviewer.computeChangeSet(trial.sandbox);
    expect(files.map(({ path }) => path)).toEqual(["new"]);
    expect(warnings.join()).toContain("4 sockets, pipes and devices");
  });

  test("in the server's own environment does not count", async () => {
    using trial = await startReviewTrial();
    writeFileSync(join(trial.workspace, "new"), "new\n");
    const environment = { GIT_EXTERNAL_DIFF: "/bin/false", GIT_DIR: "/nonexistent", GIT_INDEX_FILE: "/nonexistent" };
    Object.assign(process.env, environment);
    try {
      expect((await trial.reviewer.computeChangeSet(trial.sandbox)).additions).toBe(1);
    } finally {
      for (const name of Object.keys(environment)) delete process.env[name];
    }
  });
});

describe("paths", () => {
  test.each([".GIT/hooks/x", "dir/.Git/config", ".git"])("%s never reaches the project", async (path) => {
    using trial = await startReviewTrial({ kind: "plain" });
    put(join(trial.workspace, path), "planted");
    const { digest, files } = await trial.reviewer.computeChangeSet(trial.sandbox);
    expect(files).toEqual([]);
    await trial.reviewer.apply({ sandbox: trial.sandbox, digest });
    expect(existsSync(join(trial.project, path))).toBe(false);
  });

  test.each(["git~1/config", ".git /config", ".git.", "dir/.g\u200cit/x", ".git::$INDEX_ALLOCATION/x", "a\\..\\b"])(
    "%j, which another file system takes for git's own, is shown and refused",
    async (path) => {
      using trial = await startReviewTrial();
      put(join(trial.workspace, path), "planted");
      const before = hashFolder(trial.project);
      const { digest, warnings } = await trial.reviewer.computeChangeSet(trial.sandbox);
      expect(warnings.join()).toContain("no run may write");
      const result = await trial.reviewer.apply({ sandbox: trial.sandbox, digest });
      expect(conflictsOf(result)).toEqual([{ path, kind: ApplyConflictKind.PROTECTED }]);
      expect(hashFolder(trial.project)).toBe(before);
    },
  );

  test("links out of the project are included with a warning, links inside without", async () => {
    using trial = await startReviewTrial();
    symlinkSync("/etc/passwd", join(trial.workspace, "absolute"));
    symlinkSync("../../up", join(trial.workspace, "dir/up"));
    symlinkSync("../a.txt", join(trial.workspace, "dir/fine"));
    const { files, warnings } = await trial.reviewer.computeChangeSet(trial.sandbox);
    expect(files.map(({ path }) => path)).toEqual(["absolute", "dir/fine", "dir/up"]);
    expect(warnings).toEqual([
      "absolute links out of the project, to /etc/passwd",
      "dir/up links out of the project, to ../../up",
    ]);
  });

  test("a name with line breaks cannot forge a warning", async () => {
    using trial = await startReviewTrial();
    symlinkSync("/x", join(trial.workspace, "a\nfine, approve\u001b[2K"));
    const { warnings } = await trial.reviewer.computeChangeSet(trial.sandbox);
    expect(warnings).toHaveLength(1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect(warnings.join()).not.toMatch(/[\u0000-\u001f]/);
  });
});

describe("links that are swapped in while we work", () => {
  test("never bring content from outside into a change set", async () => {
    using trial = await startReviewTrial();
    const outside = secretFolder(trial);
    const swapper = swap(join(trial.workspace, "dir"), outside);
    try {
      for (let round = 0; round < 40; round += 1) {
        const changeSet = await trial.reviewer.computeChangeSet(trial.sandbox);
        expect(Buffer.from(changeSet.unifiedDiff).toString()).not.toContain("secret");
      }
    } finally {
      await stop(swapper);
    }
  });

  test("never lead an apply out of the project", async () => {
    using trial = await startReviewTrial();
    const outside = join(trial.home, "outside");
    mkdirSync(outside);
    for (let index = 0; index < 40; index += 1) put(join(trial.workspace, `dir/new/${index}`), "agent");
    const { digest } = await trial.reviewer.computeChangeSet(trial.sandbox);
    const swapper = swap(join(trial.project, "dir"), outside);
    try {
      for (let round = 0; round < 10; round += 1) {
        await trial.reviewer.apply({ sandbox: trial.sandbox, digest }).catch(() => undefined);
        expect(readdirSync(outside)).toEqual([]);
      }
    } finally {
      await stop(swapper);
    }
  });

  /** Holds files of the same names, so that a follower would take them for changed ones. */
  function secretFolder(trial: ReviewTrial): string {
    const outside = join(trial.home, "outside");
    for (const name of ["one", "two", "deep/three", "other"]) put(join(outside, name), `secret ${name}\n`);
    return outside;
  }

  /** Puts a link to `target` in the folder's place and back, as fast as it can. */
  function swap(folder: string, target: string): ChildProcess {
    const program = `
      const { renameSync, symlinkSync, unlinkSync } = require("node:fs");
      const [folder, target] = process.argv.slice(1);
      for (;;) {
        try { renameSync(folder, folder + ".away"); symlinkSync(target, folder); } catch {}
        try { unlinkSync(folder); } catch {}
        try { renameSync(folder + ".away", folder); } catch {}
      }`;
    return spawn(process.execPath, ["-e", program, folder, target], { stdio: "ignore" });
  }

  async function stop(child: ChildProcess): Promise<void> {
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await ended;
  }
});

test("the agent's own commits change neither the base nor the project's repository", async () => {
  using trial = await startReviewTrial();
  appendFileSync(join(trial.workspace, "a.txt"), "agent\n");
  git(trial.workspace, "commit", "-qam", "by the agent");
  renameSync(join(trial.workspace, ".git"), join(trial.workspace, "..", "gone"));
  rmSync(join(trial.workspace, "..", "gone"), { recursive: true });
  const before = hashFolder(join(trial.project, ".git"));
  const { digest, files } = await trial.reviewer.computeChangeSet(trial.sandbox);
  expect(files.map(({ path }) => path)).toEqual(["a.txt"]);
  await trial.reviewer.apply({ sandbox: trial.sandbox, digest });
  expect(hashFolder(join(trial.project, ".git"))).toBe(before);
  expect(readTree(trial.project).get("a.txt")).toMatch(/agent\n$/);
});

function conflictsOf(result: ApplyResult) {
  return result.kind === "conflict" ? result.conflicts.map(({ path, kind }) => ({ path, kind })) : undefined;
}
