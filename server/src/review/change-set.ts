import { createHash } from "node:crypto";
import {
  type ChangeSet,
  ChangeSetSchema,
  type FileChange,
  FileChangeKind,
  FileChangeSchema,
  type Hunk,
  HunkSchema,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { type BytePath, toText } from "./byte-path.js";
import { type DiffSection, parseDiff } from "./diff-parser.js";
import type { Git } from "./git.js";
import type { PathChange, Snapshot } from "./path-change.js";

/** Beyond this a diff is not made: nobody reads it, and it has to fit into one message and one row. */
const diffLimitBytes = 64 * 1024 * 1024;

/** A snapshot as the API shows it, with its unified diff and hunks. */
export async function describeSnapshot(git: Git, runId: string, snapshot: Snapshot): Promise<ChangeSet> {
  const [diff, renames] = await Promise.all([unifiedDiff(git, snapshot), renameHints(git, snapshot)]);
  const sections = sectionsByPath(parseDiff(diff?.toString("latin1") ?? ""));
  const files = snapshot.changes.map((change) =>
    describeFile(change, { sections: sections.get(change.path), oldPath: renames.get(change.path) }),
  );
  if (diff !== undefined) checkComplete(snapshot, sections);
  const tooLarge = `the diff is larger than ${diffLimitBytes} bytes and is left out; the files are listed without hunks`;
  return create(ChangeSetSchema, {
    runId,
    createTime: timestampNow(),
    digest: snapshot.digest,
    baseTree: snapshot.baseTree,
    files,
    unifiedDiff: diff ?? new Uint8Array(),
    additions: sum(files.map(({ additions }) => additions)),
    deletions: sum(files.map(({ deletions }) => deletions)),
    warnings: [...snapshot.warnings, ...(diff === undefined ? [tooLarge] : [])],
  });
}

async function unifiedDiff(git: Git, { baseTree, diffTree }: Snapshot): Promise<Buffer | undefined> {
  const options = [
    "-r",
    "-p",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
  ];
  const args = ["diff-tree", ...options, "--src-prefix=a/", "--dst-prefix=b/", baseTree, diffTree];
  const { kind, stdout } = await git.run(args, { limitBytes: diffLimitBytes });
  return kind === "tooLarge" ? undefined : stdout;
}

/** New path to old path, for those that look alike. A hint for people: nothing is decided by it. */
async function renameHints(git: Git, { baseTree, tree }: Snapshot): Promise<ReadonlyMap<BytePath, BytePath>> {
  const args = ["diff-tree", "-r", "-z", "--raw", "-M", "-l400", "--diff-filter=R", baseTree, tree];
  const fields = (await git.run(args)).stdout.toString("latin1").split("\0");
  const hints = new Map<BytePath, BytePath>();
  for (let at = 0; at + 2 < fields.length; at += 3) hints.set(fields[at + 2] ?? "", fields[at + 1] ?? "");
  return hints;
}

function sectionsByPath(sections: readonly DiffSection[]): ReadonlyMap<BytePath, readonly DiffSection[]> {
  const found = new Map<BytePath, DiffSection[]>();
  for (const section of sections) found.set(section.path, [...(found.get(section.path) ?? []), section]);
  return found;
}

/** What is shown and what would be applied come from two places and must name the same files. */
function checkComplete(snapshot: Snapshot, sections: ReadonlyMap<BytePath, unknown>): void {
  const known = new Set(snapshot.changes.map(({ path }) => path));
  const missing = snapshot.changes.find(({ path, large }) => !large && !sections.has(path));
  const unknown = [...sections.keys()].find((path) => !known.has(path));
  const differing = missing?.path ?? unknown;
  if (differing !== undefined) throw new Error(`the diff and the changed files differ in ${JSON.stringify(differing)}`);
}

interface FileFacts {
  readonly sections: readonly DiffSection[] | undefined;
  readonly oldPath: BytePath | undefined;
}

function describeFile(change: PathChange, { sections = [], oldPath }: FileFacts): FileChange {
  const hunks = describeHunks(change.path, sections);
  const parsed = sections.flatMap((section) => section.hunks);
  return create(FileChangeSchema, {
    fileId: contentId("file", change.path, versionText(change.old), versionText(change.new)),
    path: toText(change.path),
    oldPath: oldPath === undefined ? "" : toText(oldPath),
    kind: kindOf(change),
    oldMode: change.old?.mode ?? 0,
    newMode: change.new?.mode ?? 0,
    binary: change.large || sections.some(({ binary }) => binary),
    additions: sum(parsed.map(({ additions }) => additions)),
    deletions: sum(parsed.map(({ deletions }) => deletions)),
    hunks,
    sizeBytes: BigInt(change.sizeBytes),
  });
}

/** Ids are made of the lines, not of the line numbers, and stay when hunks before them come and go. */
function describeHunks(path: BytePath, sections: readonly DiffSection[]): Hunk[] {
  const seen = new Map<string, number>();
  return sections.flatMap(({ hunks }) =>
    hunks.map(({ text, body, oldStart, oldLines, newStart, newLines }) => {
      const nth = (seen.get(body) ?? 0) + 1;
      seen.set(body, nth);
      const hunkId = contentId("hunk", path, body, `${nth}`);
      return create(HunkSchema, { hunkId, oldStart, oldLines, newStart, newLines, text: Buffer.from(text, "latin1") });
    }),
  );
}

function kindOf(change: PathChange): FileChangeKind {
  if (change.old === undefined) return FileChangeKind.ADDED;
  if (change.new === undefined) return FileChangeKind.DELETED;
  const typeChanged = change.old.mode >> 12 !== change.new.mode >> 12;
  return typeChanged ? FileChangeKind.TYPE_CHANGED : FileChangeKind.MODIFIED;
}

function contentId(...parts: readonly string[]): string {
  return createHash("sha256")
    .update(Buffer.from(parts.join("\0"), "latin1"))
    .digest("hex")
    .slice(0, 32);
}

function versionText(version: PathChange["old"]): string {
  return version === undefined ? "" : `${version.mode} ${version.id}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
