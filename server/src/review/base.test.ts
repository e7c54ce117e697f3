import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  fillProject,
  git,
  lines,
  type ReviewTrial,
  readTree,
  startReviewTrial,
} from "../../../test/support/review-trial.js";
import { createLocalSandboxProvider } from "../sandbox/local/local-provider.js";
import { translateRule } from "./ignore.js";
import { createReviewer } from "./local-reviewer.js";

async function changed({ reviewer, sandbox }: ReviewTrial): Promise<readonly string[]> {
  return (await reviewer.computeChangeSet(sandbox)).files.map(({ path }) => path);
}

async function warned({ reviewer, sandbox }: ReviewTrial): Promise<string> {
  return (await reviewer.computeChangeSet(sandbox)).warnings.join("\n");
}

describe("the base", () => {
  test("is what the agent found, also if it was dirty: nothing has changed at first", async () => {
    for (const kind of ["git", "dirty", "plain", "crlf"] as const) {
      using trial = await startReviewTrial({ kind });
      const { files, warnings, unifiedDiff } = await trial.reviewer.computeChangeSet(trial.sandbox);
      expect({ files, warnings, size: unifiedDiff.length }).toEqual({ files: [], warnings: [], size: 0 });
    }
  });

  test("is captured once: a second call does not take the agent's work into it", async () => {
    using trial = await startReviewTrial();
    writeFileSync(join(trial.workspace, "new"), "agent");
    await createReviewer().captureBase(trial.sandbox);
    expect(await changed(trial)).toEqual(["new"]);
  });

  test("is captured again if a crash cut the first capture off", async () => {
    using trial = await startReviewTrial();
    rmSync(join(trial.sandbox.reviewDir, "base.json"));
    writeFileSync(join(trial.sandbox.reviewDir, "base.index"), "torn");
    await trial.reviewer.captureBase(trial.sandbox);
    appendFileSync(join(trial.workspace, "a.txt"), "x\n");
    expect(await changed(trial)).toEqual(["a.txt"]);
  });

  test("is needed: without it there is no change set", async () => {
    using trial = await startReviewTrial();
    rmSync(join(trial.sandbox.reviewDir, "base.json"));
    await expect(trial.reviewer.computeChangeSet(trial.sandbox)).rejects.toMatchObject({
      reason: "CHANGE_SET_NOT_READY",
    });
  });

  test("is of a repository without commits, of an empty folder, and of a folder inside a repository", async () => {
    const fills = [
      (project: string) => git(project, "init", "-q"),
      () => undefined,
      (project: string) => {
        git(join(project, ".."), "init", "-q");
        writeFileSync(join(project, "../.gitignore"), "node_modules\n/project/out/\n/other\n");
        mkdirSync(join(project, "out"));
        writeFileSync(join(project, "out/old"), "");
      },
    ];
    for (const fill of fills) {
      using trial = await startReviewTrial({ kind: "plain", fill });
      for (const path of ["node_modules/m", "out/new", "other"]) {
        mkdirSync(join(trial.workspace, path, ".."), { recursive: true });
        writeFileSync(join(trial.workspace, path), "x");
      }
      const nested = fill === fills[2];
      expect(await changed(trial)).toEqual(nested ? ["other"] : ["node_modules/m", "other", "out/new"]);
    }
  });

  test("holds tracked files whatever .gitignore says, in every form of index", async () => {
    const forms: readonly (readonly (readonly string[])[])[] = [
      [["init", "-q"]],
      [["init", "-q", "--object-format=sha256"]],
      [
        ["init", "-q"],
        ["config", "core.splitIndex", "true"],
      ],
      [
        ["init", "-q"],
        ["config", "index.version", "4"],
      ],
    ];
    for (const form of forms) {
      using trial = await startReviewTrial({
        kind: "plain",
        fill: (project) => {
          fillProject(project);
          for (const command of form) git(project, ...command);
          git(project, "add", "-A");
          git(project, "add", "-f", "debug.log");
          git(project, "commit", "-qm", "first");
        },
      });
      for (const path of ["debug.log", "ignored/x"]) appendFileSync(join(trial.workspace, path), "agent\n");
      expect(await changed(trial)).toEqual(["debug.log"]);
      expect(await warned(trial)).toContain("1 ignored or nested files changed and are left out: ignored/x");
    }
  });

  test("of a sparse checkout does not take what is not there for deleted", async () => {
    using trial = await startReviewTrial({
      kind: "plain",
      fill: (project) => {
        fillProject(project);
        git(project, "init", "-q");
        git(project, "add", "-A");
        git(project, "commit", "-qm", "first");
        git(project, "sparse-checkout", "set", "--cone", "--sparse-index", "dir/deep");
      },
    });
    expect(await changed(trial)).toEqual([]);
    appendFileSync(join(trial.workspace, "dir/deep/three"), "agent\n");
    expect(await changed(trial)).toEqual(["dir/deep/three"]);
  });
});

describe("changes", () => {
  test("that keep size and time are found", async () => {
    using trial = await startReviewTrial();
    const path = join(trial.workspace, "dir/one");
    const { atime, mtime } = statSync(path);
    writeFileSync(path, "eno\n");
    utimesSync(path, atime, mtime);
    expect(await changed(trial)).toEqual(["dir/one"]);
  });

  test("that are undone leave nothing", async () => {
    using trial = await startReviewTrial();
    const path = join(trial.workspace, "a.txt");
    const text = readFileSync(path);
    writeFileSync(path, "x");
    expect(await changed(trial)).toEqual(["a.txt"]);
    writeFileSync(path, text);
    expect(await changed(trial)).toEqual([]);
  });

  test("to ignored files are told and not taken, also once they are no longer ignored", async () => {
    using trial = await startReviewTrial({ kind: "plain" });
    writeFileSync(join(trial.workspace, ".gitignore"), "");
    rmSync(join(trial.workspace, "ignored/x"));
    appendFileSync(join(trial.workspace, "debug.log"), "agent\n");
    expect(await changed(trial)).toEqual([".gitignore"]);
    expect(await warned(trial)).toContain("left out: debug.log, ignored/x");
  });

  test("in a folder that the agent made a repository of are still found", async () => {
    using trial = await startReviewTrial();
    git(join(trial.workspace, "dir"), "init", "-q");
    appendFileSync(join(trial.workspace, "dir/one"), "agent\n");
    writeFileSync(join(trial.workspace, "dir/new"), "agent\n");
    expect(await changed(trial)).toEqual(["dir/one"]);
    expect(await warned(trial)).toContain("files in nested repositories are left out: dir/new");
  });

  test("in a repository that was nested at the start are told and not taken", async () => {
    using trial = await startReviewTrial({
      fill: (project) => {
        fillProject(project);
        mkdirSync(join(project, "sub"));
        git(join(project, "sub"), "init", "-q");
        writeFileSync(join(project, "sub/file"), "x");
        writeFileSync(join(project, ".git-keep"), "");
        writeFileSync(join(project, ".gitignore"), "sub/\n*.log\n");
      },
    });
    appendFileSync(join(trial.workspace, "sub/file"), "agent");
    expect(await changed(trial)).toEqual([]);
    expect(await warned(trial)).toContain("sub/file");
  });

  test("in large files are found, shown as binary and applied", async () => {
    using trial = await startReviewTrial({
      fill: (project) => {
        fillProject(project);
        writeFileSync(join(project, "large"), Buffer.alloc(33 * 1024 * 1024, "x"));
      },
    });
    appendFileSync(join(trial.workspace, "large"), "agent");
    writeFileSync(join(trial.workspace, "large2"), Buffer.alloc(33 * 1024 * 1024, "y"));
    const { digest, files } = await trial.reviewer.computeChangeSet(trial.sandbox);
    expect(files.map(({ path, binary, hunks }) => [path, binary, hunks.length])).toEqual([
      ["large", true, 0],
      ["large2", true, 0],
    ]);
    expect((await trial.reviewer.apply({ sandbox: trial.sandbox, digest })).kind).toBe("applied");
    expect(readFileSync(join(trial.project, "large"), "latin1").endsWith("xagent")).toBe(true);
    expect(statSync(join(trial.project, "large2")).size).toBe(33 * 1024 * 1024);
  });

  test("whose diff is too large for a message are listed without it, and applied", async () => {
    using trial = await startReviewTrial();
    for (const name of ["one", "two", "three"]) {
      writeFileSync(join(trial.workspace, name), Buffer.alloc(25_000_000, `${"x".repeat(79)}\n`));
    }
    const { digest, files, unifiedDiff, warnings } = await trial.reviewer.computeChangeSet(trial.sandbox);
    expect(files.map(({ path }) => path)).toEqual(["one", "three", "two"]);
    expect(unifiedDiff).toHaveLength(0);
    expect(warnings.join()).toContain("larger than");
    expect((await trial.reviewer.apply({ sandbox: trial.sandbox, digest })).kind).toBe("applied");
    expect(readTree(trial.project).has("three")).toBe(true);
  });

  test("of a thousand files take a few seconds at most, and unchanged ones are not read", async () => {
    using trial = await startReviewTrial({
      fill: (project) => {
        for (let index = 0; index < 4_000; index += 1) {
          const folder = join(project, `d${index % 40}`);
          mkdirSync(folder, { recursive: true });
          writeFileSync(join(folder, `f${index}`), `${index}\n${lines(20)}`);
        }
        writeFileSync(join(project, "debug.log"), "");
      },
    });
    await sleep(60); // past the clock's grain, within which stamps prove nothing
    for (let index = 0; index < 1_000; index += 1) {
      appendFileSync(join(trial.workspace, `d${index % 40}`, `f${index}`), "agent\n");
    }
    const started = performance.now();
    const { digest, files } = await trial.reviewer.computeChangeSet(trial.sandbox);
    const computed = performance.now();
    expect(files).toHaveLength(1_000);
    expect((await trial.reviewer.apply({ sandbox: trial.sandbox, digest })).kind).toBe("applied");
    console.info(`1,000 of 4,000 files: change set ${computed - started} ms, apply ${performance.now() - computed} ms`);
    expect(computed - started).toBeLessThan(10_000);
  });

  test("can be given up by a signal", async () => {
    using trial = await startReviewTrial();
    await expect(trial.reviewer.computeChangeSet(trial.sandbox, AbortSignal.abort())).rejects.toThrow();
    const provider = createLocalSandboxProvider({ stateDir: join(trial.home, "state") });
    const sandbox = await provider.create({ sandboxId: "other", projectRoot: trial.project });
    await expect(trial.reviewer.captureBase(sandbox, AbortSignal.abort())).rejects.toThrow();
    await trial.reviewer.captureBase(sandbox);
  });
});

test.each([
  ["node_modules", ["node_modules"]],
  ["*.log\r", ["*.log"]],
  ["!keep/", ["!keep/"]],
  ["**/out/x", ["**/out/x"]],
  ["/packages/a/dist", ["/dist"]],
  ["packages/a/dist/", ["/dist/"]],
  ["packages/b/dist", []],
  ["/packages/a", []],
  ["# note", []],
  ["", []],
])("the rule %j above packages/a means %j in it", (line, rules) => {
  expect(translateRule(line, "packages/a")).toEqual(rules);
});
