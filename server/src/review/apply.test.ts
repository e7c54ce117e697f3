import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ApplyConflictKind, ChangeSelectionSchema } from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  git,
  hashFolder,
  lines,
  type ReviewTrial,
  readTree,
  startReviewTrial,
} from "../../../test/support/review-trial.js";
import { createReviewer } from "./local-reviewer.js";
import type { ApplyResult } from "./reviewer.js";

type Hand = (folder: string) => void;

/** Computes and applies everything. */
async function approve({ reviewer, sandbox }: ReviewTrial): Promise<ApplyResult> {
  const { digest } = await reviewer.computeChangeSet(sandbox);
  return reviewer.apply({ sandbox, digest });
}

const replace =
  (path: string, from: string, to: string): Hand =>
  (folder) => {
    const text = readFileSync(join(folder, path), "utf8");
    if (!text.includes(from)) throw new Error(`${path} does not hold ${from}`);
    writeFileSync(join(folder, path), text.replace(from, to));
  };

describe("human and run changed the project", () => {
  const binary = Buffer.from([0, 7, 7]);
  const cases: readonly {
    readonly name: string;
    readonly agent: Hand;
    readonly human: Hand;
    readonly path: string;
    readonly kind: ApplyConflictKind;
  }[] = [
    {
      name: "both changed the same line",
      agent: replace("a.txt", "line 15\n", "agent\n"),
      human: replace("a.txt", "line 15\n", "human\n"),
      path: "a.txt",
      kind: ApplyConflictKind.CONTENT,
    },
    {
      name: "the human deleted what the run changed",
      agent: (folder) => appendFileSync(join(folder, "a.txt"), "agent\n"),
      human: (folder) => unlinkSync(join(folder, "a.txt")),
      path: "a.txt",
      kind: ApplyConflictKind.DELETE_MODIFY,
    },
    {
      name: "the human changed what the run deleted",
      agent: (folder) => rmSync(join(folder, "dir"), { recursive: true }),
      human: (folder) => appendFileSync(join(folder, "dir/two"), "human\n"),
      path: "dir/two",
      kind: ApplyConflictKind.DELETE_MODIFY,
    },
    {
      name: "both added the same path",
      agent: (folder) => writeFileSync(join(folder, "new"), "agent"),
      human: (folder) => writeFileSync(join(folder, "new"), "human"),
      path: "new",
      kind: ApplyConflictKind.BOTH_ADDED,
    },
    {
      name: "both changed a binary file",
      agent: (folder) => writeFileSync(join(folder, "binary.dat"), binary),
      human: (folder) => writeFileSync(join(folder, "binary.dat"), Buffer.from([0, 8])),
      path: "binary.dat",
      kind: ApplyConflictKind.BINARY,
    },
    {
      name: "both retargeted a link",
      agent: (folder) => relink(folder, "dir/one"),
      human: (folder) => relink(folder, "dir/two"),
      path: "link",
      kind: ApplyConflictKind.BINARY,
    },
    {
      name: "the human made a link of the file",
      agent: replace("a.txt", "line 15\n", "agent\n"),
      human: (folder) => {
        unlinkSync(join(folder, "a.txt"));
        symlinkSync("dir/two", join(folder, "a.txt"));
      },
      path: "a.txt",
      kind: ApplyConflictKind.TYPE,
    },
    {
      name: "the human made a folder of the file",
      agent: replace("a.txt", "line 15\n", "agent\n"),
      human: (folder) => {
        unlinkSync(join(folder, "a.txt"));
        mkdirSync(join(folder, "a.txt"));
      },
      path: "a.txt",
      kind: ApplyConflictKind.TYPE,
    },
    {
      name: "the human replaced the parent by a link to elsewhere",
      agent: (folder) => writeFileSync(join(folder, "dir/new"), "agent"),
      human: (folder) => {
        renameSync(join(folder, "dir"), join(folder, "../elsewhere"));
        symlinkSync("../elsewhere", join(folder, "dir"));
      },
      path: "dir/new",
      kind: ApplyConflictKind.TYPE,
    },
    {
      name: "a file of the human lies in a folder that becomes a file",
      agent: (folder) => {
        rmSync(join(folder, "dir"), { recursive: true });
        writeFileSync(join(folder, "dir"), "file");
      },
      human: (folder) => writeFileSync(join(folder, "dir/mine"), "human"),
      path: "dir",
      kind: ApplyConflictKind.TYPE,
    },
  ];

  test.each(cases)("$name: refused by kind, nothing is written", async ({ agent, human, path, kind }) => {
    using trial = await startReviewTrial();
    agent(trial.workspace);
    writeFileSync(join(trial.workspace, "harmless"), "also in the change set");
    human(trial.project);
    const before = hashFolder(trial.project);
    const result = await approve(trial);
    expect(hashFolder(trial.project)).toBe(before);
    expect(result).toMatchObject({ kind: "conflict", conflicts: [{ path, kind }] });
    const outside = join(trial.home, "elsewhere");
    if (existsSync(outside)) expect([...readTree(outside).keys()]).not.toContain("new");
  });

  test("other lines of the same file are merged and kept", async () => {
    using trial = await startReviewTrial({ kind: "dirty" });
    replace("a.txt", "line 25\n", "agent\n")(trial.workspace);
    replace("a.txt", "line 5\n", "human\n")(trial.project);
    expect((await approve(trial)).kind).toBe("applied");
    const expected = `uncommitted\n${lines(30)}`.replace("line 25\n", "agent\n").replace("line 5\n", "human\n");
    expect(readFileSync(join(trial.project, "a.txt"), "utf8")).toBe(expected);
  });

  test("a mode change and a content change of the two sides both stay", async () => {
    using trial = await startReviewTrial();
    chmodSync(join(trial.workspace, "a.txt"), 0o755);
    appendFileSync(join(trial.project, "a.txt"), "human\n");
    expect((await approve(trial)).kind).toBe("applied");
    expect(readTree(trial.project).get("a.txt")).toBe(`x ${lines(30)}human\n`);
  });

  test("what the human did already is no conflict", async () => {
    using trial = await startReviewTrial();
    for (const folder of [trial.workspace, trial.project]) {
      writeFileSync(join(folder, "new"), "same");
      unlinkSync(join(folder, "dir/one"));
    }
    expect((await approve(trial)).kind).toBe("applied");
  });

  test("an unrelated dirty project, a moved head and a locked index do not matter", async () => {
    using trial = await startReviewTrial();
    writeFileSync(join(trial.workspace, "new"), "agent");
    appendFileSync(join(trial.project, "dir/one"), "human");
    git(trial.project, "commit", "-q", "-am", "human");
    writeFileSync(join(trial.project, ".git/index.lock"), "");
    const head = git(trial.project, "rev-parse", "HEAD");
    expect((await approve(trial)).kind).toBe("applied");
    expect(readTree(trial.project).get("new")).toBe("- agent");
    expect(git(trial.project, "rev-parse", "HEAD")).toBe(head);
  });

  function relink(folder: string, target: string): void {
    unlinkSync(join(folder, "link"));
    symlinkSync(target, join(folder, "link"));
  }
});

describe("an approval", () => {
  test("of another digest is stale and writes nothing", async () => {
    using trial = await startReviewTrial();
    writeFileSync(join(trial.workspace, "new"), "reviewed");
    const { digest } = await trial.reviewer.computeChangeSet(trial.sandbox);
    writeFileSync(join(trial.workspace, "new"), "swapped!");
    const before = hashFolder(trial.project);
    const result = await trial.reviewer.apply({ sandbox: trial.sandbox, digest });
    expect(result).toEqual({ kind: "stale", digest: (await trial.reviewer.computeChangeSet(trial.sandbox)).digest });
    expect(hashFolder(trial.project)).toBe(before);
  });

  test("given 50 times at once writes once and answers 50 times", async () => {
    using trial = await startReviewTrial();
    appendFileSync(join(trial.workspace, "a.txt"), "agent\n");
    const { digest } = await trial.reviewer.computeChangeSet(trial.sandbox);
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => trial.reviewer.apply({ sandbox: trial.sandbox, digest })),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set([JSON.stringify({ kind: "applied", files: ["a.txt"] })]),
    );
    expect(readFileSync(join(trial.project, "a.txt"), "utf8")).toBe(`${lines(30)}agent\n`);
  });

  test("given again after the human went on writes nothing, also by another reviewer", async () => {
    using trial = await startReviewTrial();
    appendFileSync(join(trial.workspace, "a.txt"), "agent\n");
    const { digest } = await trial.reviewer.computeChangeSet(trial.sandbox);
    await trial.reviewer.apply({ sandbox: trial.sandbox, digest });
    writeFileSync(join(trial.project, "a.txt"), "human\n");
    const again = await createReviewer().apply({ sandbox: trial.sandbox, digest });
    expect(again.kind).toBe("applied");
    expect(readFileSync(join(trial.project, "a.txt"), "utf8")).toBe("human\n");
  });

  test("of a selection is refused as not implemented", async () => {
    using trial = await startReviewTrial();
    const selection = create(ChangeSelectionSchema, { files: ["a.txt"] });
    await expect(trial.reviewer.apply({ sandbox: trial.sandbox, digest: "x", selection })).rejects.toMatchObject({
      reason: "NOT_IMPLEMENTED",
    });
  });

  test("for a project that is gone says so", async () => {
    using trial = await startReviewTrial();
    rmSync(trial.project, { recursive: true });
    await expect(trial.reviewer.apply({ sandbox: trial.sandbox, digest: "x" })).rejects.toMatchObject({
      reason: "PROJECT_NOT_FOUND",
    });
  });

  test("keeps permissions, owner and setgid of files that were there", async () => {
    using trial = await startReviewTrial();
    chmodSync(join(trial.project, "dir/one"), 0o600);
    chmodSync(join(trial.project, "run.sh"), 0o750);
    if (process.getuid?.() === 0) chownSync(join(trial.project, "dir/one"), 12345, 54321);
    const owner = lstatSync(join(trial.project, "dir/one"));
    for (const path of ["dir/one", "run.sh"]) appendFileSync(join(trial.workspace, path), "agent\n");
    expect((await approve(trial)).kind).toBe("applied");
    const after = lstatSync(join(trial.project, "dir/one"));
    expect([after.mode, after.uid, after.gid]).toEqual([owner.mode, owner.uid, owner.gid]);
    expect(lstatSync(join(trial.project, "run.sh")).mode & 0o7777).toBe(0o750);
  });

  test("leaves no temporary files and no empty folders of deleted files", async () => {
    using trial = await startReviewTrial();
    rmSync(join(trial.workspace, "dir/deep"), { recursive: true });
    writeFileSync(join(trial.workspace, "new"), "");
    await approve(trial);
    expect([...readTree(trial.project).keys()].filter((path) => path.includes(".agent-manager"))).toEqual([]);
    expect(existsSync(join(trial.project, "dir/deep"))).toBe(false);
    expect(existsSync(join(trial.project, "dir"))).toBe(true);
  });

  test("that fails half way is undone", async () => {
    let written = 0;
    const failpoint = (name: string): void => {
      if (name === "written" && ++written === 2) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    };
    using trial = await startReviewTrial({ failpoint });
    for (const path of ["a.txt", "dir/one", "run.sh"]) appendFileSync(join(trial.workspace, path), "agent\n");
    unlinkSync(join(trial.workspace, "dir/two"));
    const before = readTree(trial.project);
    await expect(approve(trial)).rejects.toMatchObject({ reason: "DISK_FULL" });
    expect(readTree(trial.project)).toEqual(before);
  });

  test("that meets a human edit half way is undone and says where", async () => {
    let folder = "";
    const failpoint = (name: string): void => {
      if (name === "allStaged") writeFileSync(join(folder, "run.sh"), "human\n");
    };
    using trial = await startReviewTrial({ failpoint });
    folder = trial.project;
    for (const path of ["a.txt", "dir/one", "run.sh"]) appendFileSync(join(trial.workspace, path), "agent\n");
    const before = readTree(trial.project);
    expect(await approve(trial)).toMatchObject({ kind: "conflict", conflicts: [{ path: "run.sh" }] });
    expect(readTree(trial.project)).toEqual(new Map([...before, ["run.sh", "x human\n"]]));
  });

  test("of files on a full disk changes nothing", async (context) => {
    if (process.getuid?.() !== 0) return context.skip();
    using trial = await startReviewTrial({
      kind: "plain",
      fill: (project) => execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "t", project]),
    });
    try {
      writeFileSync(join(trial.workspace, "small"), "small");
      writeFileSync(join(trial.workspace, "zlarge"), Buffer.alloc(2_000_000, "x"));
      await expect(approve(trial)).rejects.toMatchObject({ reason: "DISK_FULL" });
      expect([...readTree(trial.project).keys()]).toEqual([]);
    } finally {
      execFileSync("umount", [trial.project]);
    }
  });

  test("of two runs on one project waits its turn and merges", async () => {
    using one = await startReviewTrial();
    replace("a.txt", "line 5\n", "first\n")(one.workspace);
    const { createLocalSandboxProvider } = await import("../sandbox/local/local-provider.js");
    const provider = createLocalSandboxProvider({ stateDir: join(one.home, "state") });
    const sandbox = await provider.create({ sandboxId: "run-2", projectRoot: one.project });
    await one.reviewer.captureBase(sandbox);
    replace("a.txt", "line 25\n", "second\n")(sandbox.workspace);
    const results = await Promise.all([approve(one), approve({ ...one, sandbox })]);
    expect(results.map(({ kind }) => kind)).toEqual(["applied", "applied"]);
    const text = readFileSync(join(one.project, "a.txt"), "utf8");
    expect(text).toBe(lines(30).replace("line 5\n", "first\n").replace("line 25\n", "second\n"));
  });
});
