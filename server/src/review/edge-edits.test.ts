import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type ChangeSet, FileChangeKind } from "@agent-manager/sdk/proto";
import { describe, expect, test } from "vitest";
import {
  copyFolder,
  git,
  lines,
  type ProjectKind,
  projectKinds,
  readTree,
  startReviewTrial,
} from "../../../test/support/review-trial.js";

interface Edit {
  readonly name: string;
  readonly run: Step;
  /** Paths that the edit makes and that no change set holds, with a word of the warning. */
  readonly leftOut?: { readonly paths: readonly string[]; readonly warning: string };
}

type Step = (folder: string) => void;

const all =
  (...steps: readonly Step[]): Step =>
  (folder) => {
    for (const step of steps) step(folder);
  };
const put =
  (path: string, content: string | Buffer): Step =>
  (folder) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  };
const append =
  (path: string, content: string): Step =>
  (folder) =>
    appendFileSync(join(folder, path), content);
const change =
  (path: string, from: string, to: string): Step =>
  (folder) => {
    const text = readFileSync(join(folder, path), "latin1");
    writeFileSync(join(folder, path), text.replace(from, to), "latin1");
  };
const remove =
  (path: string): Step =>
  (folder) =>
    rmSync(join(folder, path), { recursive: true });
const move =
  (from: string, to: string): Step =>
  (folder) =>
    renameSync(join(folder, from), join(folder, to));
const mode =
  (path: string, bits: number): Step =>
  (folder) =>
    chmodSync(join(folder, path), bits);
const link =
  (path: string, target: string): Step =>
  (folder) =>
    symlinkSync(target, join(folder, path));

const oddNames = [" lead", "trail ", "tab\t", "back\\slash", "'", ":(top)x", "ä/b c", "a b/a b", "$(touch x)", "\x01"];
const allBytes = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 256));

const edits: readonly Edit[] = [
  { name: "add a file", run: put("new.txt", "new\n") },
  { name: "add a file in a new folder", run: put("p/q/r/new", "n") },
  { name: "add an executable", run: all(put("tool", "#!/bin/sh\n"), mode("tool", 0o755)) },
  { name: "add an empty file", run: put("void", "") },
  { name: "add a file without line end", run: put("n.txt", "no end") },
  { name: "modify one line", run: change("a.txt", "line 15", "changed") },
  { name: "modify far lines", run: all(change("a.txt", "line 2", "two"), change("a.txt", "line 29", "late")) },
  { name: "modify with look-alike lines", run: put("a.txt", "-- a/x\n++ b/y\n@@ -1 +1 @@\ndiff --git a/x b/x\n") },
  { name: "append", run: append("dir/two", "more\n") },
  { name: "truncate to nothing", run: put("a.txt", "") },
  { name: "fill an empty file", run: put("empty", "filled\n") },
  { name: "change CRLF lines", run: change("crlf.txt", "\r\n", " changed\r\n") },
  { name: "CRLF to LF", run: put("crlf.txt", lines(10)) },
  { name: "lone CR", run: put("a.txt", "a\rb\r\nc\r") },
  { name: "add the missing line end", run: put("no-eol.txt", "one\ntwo\n") },
  { name: "change a file without line end", run: put("no-eol.txt", "one\nzwei") },
  { name: "latin1 text", run: put("a.txt", Buffer.from("caf\xe9\n", "latin1")) },
  { name: "modify a binary file", run: put("binary.dat", Buffer.from([0, 9, 9, 9, 0])) },
  { name: "add a binary file", run: put("new.bin", allBytes) },
  { name: "text becomes binary", run: put("a.txt", Buffer.from("a\0b")) },
  { name: "delete a file", run: remove("a.txt") },
  { name: "delete a binary file", run: remove("binary.dat") },
  { name: "delete an empty file", run: remove("empty") },
  { name: "delete a folder", run: remove("dir") },
  { name: "rename a file", run: move("a.txt", "z.txt") },
  { name: "rename and change", run: all(move("dir/two", "moved"), append("moved", "x\n")) },
  { name: "rename a folder", run: move("dir", "other") },
  { name: "swap two files", run: all(move("a.txt", "t"), move("dir/one", "a.txt"), move("t", "dir/one")) },
  { name: "set the execute bit", run: mode("a.txt", 0o755) },
  { name: "drop the execute bit", run: mode("run.sh", 0o644) },
  { name: "execute bit and content", run: all(mode("a.txt", 0o755), append("a.txt", "x")) },
  { name: "add a link", run: link("link2", "dir/one") },
  { name: "add a dangling link", run: link("dangling", "nowhere/at all") },
  { name: "retarget a link", run: all(remove("link"), link("link", "dir")) },
  { name: "delete a link", run: remove("link") },
  { name: "file becomes link", run: all(remove("a.txt"), link("a.txt", "dir/one")) },
  { name: "link becomes file", run: all(remove("link"), put("link", "a file\n")) },
  { name: "folder becomes link", run: all(remove("dir"), link("dir", "ignored")) },
  { name: "link becomes folder", run: all(remove("link"), put("link/in", "in\n")) },
  { name: "file becomes folder", run: all(remove("a.txt"), put("a.txt/b/c", "c")) },
  { name: "folder becomes file", run: all(remove("dir"), put("dir", "now a file\n")) },
  {
    name: "odd names changed",
    run: all(
      ...["sp ace.txt", "ünï.txt", 'quo"te.txt', "new\nline.txt", "-dash.txt"].map((path) => append(path, "x\n")),
    ),
  },
  { name: "odd names added", run: all(...oddNames.map((name) => put(join("odd", name, "f"), `${name}\n`))) },
  { name: "odd file names added", run: all(...oddNames.map((name) => put(join("odd", name), `${name}\n`))) },
  {
    name: "names that are not UTF-8",
    run: (folder) => writeFileSync(Buffer.from(`${folder}/bad-\xff\xfe`, "latin1"), "bytes\n"),
  },
  { name: "unignore and add", run: all(put(".gitignore", "ignored/\n"), put("other.log", "log\n")) },
  {
    name: "add ignored files",
    run: all(put("ignored/new", "x"), put("new.log", "x")),
    leftOut: { paths: ["ignored/new", "new.log"], warning: "2 ignored" },
  },
  {
    name: "add a nested repository",
    run: all(put("nested/file", "x"), (folder) => git(join(folder, "nested"), "init", "-q")),
    leftOut: { paths: ["nested/file"], warning: "nested repositor" },
  },
  {
    name: "add a pipe",
    run: (folder) => execFileSync("mkfifo", [join(folder, "pipe"), join(folder, "dir/.gitignore")]),
    leftOut: { paths: ["pipe", "dir/.gitignore"], warning: "pipes" },
  },
  {
    name: "much at once",
    run: all(
      put("p/q", "q"),
      change("a.txt", "line 15", "x"),
      remove("dir"),
      put("dir", "f\n"),
      move("crlf.txt", "c2"),
    ),
  },
  { name: "nothing", run: () => undefined },
  { name: "touch and write the same", run: change("a.txt", "line 1", "line 1") },
];

describe.each(projectKinds)("in a %s project", (kind) => {
  test.each(edits)("$name: applied as made, and as git apply makes it of the diff", async (edit) => {
    using trial = await startReviewTrial({ kind });
    const before = copyFolder(trial.project, "before");
    const expected = copyFolder(trial.project, "expected");
    edit.run(trial.workspace);
    edit.run(expected);
    for (const path of edit.leftOut?.paths ?? []) unlinkSync(join(expected, path));

    const changeSet = await trial.reviewer.computeChangeSet(trial.sandbox);
    expect((await trial.reviewer.computeChangeSet(trial.sandbox)).digest).toBe(changeSet.digest);
    const result = await trial.reviewer.apply({ sandbox: trial.sandbox, digest: changeSet.digest });

    expect(result.kind).toBe("applied");
    expect(readTree(trial.project)).toEqual(readTree(expected));
    expect(gitApply(before, changeSet, trial.home)).toEqual(readTree(expected));
    checkAgainstDiff(changeSet);
    if (edit.leftOut !== undefined) expect(changeSet.warnings.join()).toContain(edit.leftOut.warning);
  });
});

/** The second oracle: git itself applies the diff to the project as it was. */
function gitApply(folder: string, { unifiedDiff }: ChangeSet, home: string): ReadonlyMap<string, string> {
  if (unifiedDiff.length === 0) return readTree(folder);
  const gitDir = join(home, "oracle.git");
  git(home, "init", "-q", "--bare", gitDir);
  mkdirSync(join(gitDir, "info"), { recursive: true });
  writeFileSync(join(gitDir, "info/attributes"), "* -text -filter -ident\n");
  const env = { PATH: process.env.PATH, GIT_DIR: gitDir, GIT_WORK_TREE: folder, HOME: home };
  execFileSync("git", ["apply", "--whitespace=nowarn", "-"], { cwd: folder, env, input: unifiedDiff });
  return readTree(folder);
}

/** What the files say about themselves agrees with the diff. */
function checkAgainstDiff({ files, additions, deletions, unifiedDiff }: ChangeSet): void {
  const diff = Buffer.from(unifiedDiff).toString("latin1");
  expect(additions).toBe(files.reduce((sum, file) => sum + file.additions, 0));
  expect(deletions).toBe(files.reduce((sum, file) => sum + file.deletions, 0));
  for (const file of files) {
    for (const hunk of file.hunks) expect(diff).toContain(Buffer.from(hunk.text).toString("latin1"));
    if (file.kind === FileChangeKind.ADDED) expect(file.oldMode).toBe(0);
    if (file.kind === FileChangeKind.DELETED) expect(file.newMode).toBe(0);
  }
  const ids = files.flatMap((file) => [file.fileId, ...file.hunks.map(({ hunkId }) => hunkId)]);
  expect(new Set(ids).size).toBe(ids.length);
}

test("the same work in two projects gives the same digest, order and ids", async () => {
  const run = async (kind: ProjectKind) => {
    using trial = await startReviewTrial({ kind });
    for (const edit of edits.slice(0, 12)) edit.run(trial.workspace);
    const { createTime, ...changeSet } = await trial.reviewer.computeChangeSet(trial.sandbox);
    return changeSet;
  };
  expect(await run("git")).toEqual(await run("git"));
});

test("a rename is hinted at, and kinds, modes, sizes and counts are those of the files", async () => {
  using trial = await startReviewTrial();
  renameSync(join(trial.workspace, "dir/two"), join(trial.workspace, "moved"));
  chmodSync(join(trial.workspace, "a.txt"), 0o755);
  unlinkSync(join(trial.workspace, "link"));
  writeFileSync(join(trial.workspace, "link"), "x\ny\n");
  const { files } = await trial.reviewer.computeChangeSet(trial.sandbox);
  const facts = files.map(({ path, oldPath, kind, oldMode, newMode, sizeBytes, additions, deletions }) => ({
    path,
    oldPath,
    kind,
    modes: `${oldMode.toString(8)} ${newMode.toString(8)}`,
    sizeBytes,
    counts: `+${additions} -${deletions}`,
  }));
  expect(facts).toEqual([
    {
      path: "a.txt",
      oldPath: "",
      kind: FileChangeKind.MODIFIED,
      modes: "100644 100755",
      sizeBytes: 231n,
      counts: "+0 -0",
    },
    { path: "dir/two", oldPath: "", kind: FileChangeKind.DELETED, modes: "100644 0", sizeBytes: 0n, counts: "+0 -12" },
    {
      path: "link",
      oldPath: "",
      kind: FileChangeKind.TYPE_CHANGED,
      modes: "120000 100644",
      sizeBytes: 4n,
      counts: "+2 -1",
    },
    {
      path: "moved",
      oldPath: "dir/two",
      kind: FileChangeKind.ADDED,
      modes: "0 100644",
      sizeBytes: 87n,
      counts: "+12 -0",
    },
  ]);
});
