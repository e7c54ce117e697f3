import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleProgram, type Program } from "../../../test/support/program.js";
import { copyFolder, type ReviewTrial, readTree, startReviewTrial } from "../../../test/support/review-trial.js";
import { createReviewer } from "./local-reviewer.js";

let program: Program;

beforeAll(async () => {
  program = await bundleProgram("test/fixtures/programs/apply-change-set.ts");
});

afterAll(() => program.remove());

/** Runs the apply elsewhere and kills it at its nth point; returns how many points there are if it was not killed. */
function applyAndDie({ home }: ReviewTrial, nth: number, ...mode: readonly "recover"[]): number | "killed" {
  const args = [program.path, join(home, "state"), "run", `${nth}`, ...mode];
  const { signal, status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (signal === "SIGKILL") return "killed";
  if (status !== 0) throw new Error(stderr);
  return Number(stdout);
}

/** Every kind of step: writes, removals, new folders, links, modes, file and folder changing places. */
function work(folder: string): void {
  appendFileSync(join(folder, "a.txt"), "agent\n");
  writeFileSync(join(folder, "binary.dat"), Buffer.from([0, 1, 2]));
  chmodSync(join(folder, "no-eol.txt"), 0o755);
  mkdirSync(join(folder, "new/deep"), { recursive: true });
  writeFileSync(join(folder, "new/deep/file"), "new\n");
  renameSync(join(folder, "sp ace.txt"), join(folder, "moved.txt"));
  rmSync(join(folder, "dir"), { recursive: true });
  writeFileSync(join(folder, "dir"), "a file now\n");
  unlinkSync(join(folder, "crlf.txt"));
  mkdirSync(join(folder, "crlf.txt"));
  writeFileSync(join(folder, "crlf.txt/in"), "a folder now\n");
  unlinkSync(join(folder, "link"));
  symlinkSync("a.txt/../empty", join(folder, "link"));
}

describe("an apply that is killed", () => {
  test("at any point is finished by recover, and once finished stays so", { timeout: 240_000 }, async () => {
    let nth = 1;
    for (; ; nth += 1) {
      using trial = await startReviewTrial({ kind: "dirty" });
      const expected = copyFolder(trial.project, "expected");
      work(trial.workspace);
      work(expected);
      if (applyAndDie(trial, nth) !== "killed") break;
      const reviewer = createReviewer();
      await reviewer.recover(trial.sandbox);
      await reviewer.recover(trial.sandbox);
      expect(readTree(trial.project)).toEqual(readTree(expected));
      const { digest } = await reviewer.computeChangeSet(trial.sandbox);
      expect((await reviewer.apply({ sandbox: trial.sandbox, digest })).kind).toBe("applied");
      expect(readTree(trial.project)).toEqual(readTree(expected));
    }
    expect(nth).toBeGreaterThan(20); // otherwise the failpoints are gone and this test shows nothing
  });

  test("at any point is undone if a human has edited a path that was still to be written", async () => {
    let undone = 0;
    for (let nth = 1; ; nth += 5) {
      using trial = await startReviewTrial();
      const before = readTree(trial.project);
      work(trial.workspace);
      if (applyAndDie(trial, nth) !== "killed") break;
      const untouched = readTree(trial.project).get("no-eol.txt") === before.get("no-eol.txt");
      writeFileSync(join(trial.project, "no-eol.txt"), "human\n");
      await createReviewer().recover(trial.sandbox);
      const after = readTree(trial.project);
      expect(after.get("no-eol.txt")).toMatch(/human\n$/);
      if (!untouched) continue;
      undone += 1;
      expect(after).toEqual(new Map([...before, ["no-eol.txt", "- human\n"]]));
    }
    expect(undone).toBeGreaterThan(3);
  });

  test("and whose recovery is killed too is finished by the next one", async () => {
    for (const nth of [1, 3, 6, 9, 14, 20]) {
      using trial = await startReviewTrial();
      const expected = copyFolder(trial.project, "expected");
      work(trial.workspace);
      work(expected);
      expect(applyAndDie(trial, 15)).toBe("killed");
      applyAndDie(trial, nth, "recover");
      await createReviewer().recover(trial.sandbox);
      expect(readTree(trial.project)).toEqual(readTree(expected));
    }
  });

  test("keeps what a human wrote into a file that was written already, and finishes the rest", async () => {
    using trial = await startReviewTrial();
    for (const path of ["a.txt", "dir/one", "run.sh"]) appendFileSync(join(trial.workspace, path), "agent\n");
    // journaled, 3 staged, all staged, 2 written: a.txt and dir/one are there, run.sh is not.
    expect(applyAndDie(trial, 7)).toBe("killed");
    writeFileSync(join(trial.project, "a.txt"), "human after agent\n");
    await createReviewer().recover(trial.sandbox);
    const tree = readTree(trial.project);
    expect(tree.get("a.txt")).toBe("- human after agent\n");
    expect(tree.get("run.sh")).toMatch(/agent\n$/);
  });

  test("leaves nothing to do for a sandbox without one", async () => {
    using trial = await startReviewTrial();
    const before = readTree(trial.project);
    await trial.reviewer.recover(trial.sandbox);
    expect(readTree(trial.project)).toEqual(before);
  });
});
