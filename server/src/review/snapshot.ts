import { createHash, randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Sandbox } from "../sandbox/sandbox-provider.js";
import { type Base, liesBelow } from "./base.js";
import { type BytePath, byPath } from "./byte-path.js";
import { type Entry, heldBytes, openEntry, readEntry, sameVersion, type Version } from "./entry.js";
import { findIgnored } from "./ignore.js";
import { type ManifestEntry, mayHide, sizeOf, stampOf } from "./manifest.js";
import { openBlobWriter, storeLarge } from "./objects.js";
import { inParallel } from "./parallel.js";
import type { PathChange, Snapshot } from "./path-change.js";
import type { ReviewFolder } from "./review-folder.js";
import { writeChangedTree } from "./tree.js";
import { type Walk, type WalkedFile, walkTree } from "./walk.js";
import { type LeftOut, warningsFor } from "./warnings.js";

interface SnapshotRequest {
  readonly sandbox: Sandbox;
  readonly review: ReviewFolder;
  readonly base: Base;
  readonly signal?: AbortSignal;
}

export async function takeSnapshot(request: SnapshotRequest): Promise<Snapshot> {
  const { review, base, sandbox } = request;
  const walk = await walkTree(sandbox.workspace, request.signal);
  const sorted = await sortFiles(request, walk);
  const read = await storeChanged(request, sorted.toRead);
  const changes = [...read, ...sorted.deleted].sort(byPath);
  const tree = await writeTree(review, changes);
  const small = changes.filter(({ large }) => !large);
  const diffTree = small.length === changes.length ? tree : await writeTree(review, small);
  const digest = createHash("sha256").update(`change set 1\n${base.tree}\n${tree}\n`).digest("hex");
  const warnings = warningsFor({ leftOut: sorted.leftOut, walk, changes, newNested: newNested(walk, base) });
  return { baseTree: base.tree, tree, diffTree, digest, changes, warnings };
}

interface SortedFiles {
  readonly toRead: readonly BytePath[];
  readonly deleted: readonly PathChange[];
  readonly leftOut: LeftOut;
}

async function sortFiles(request: SnapshotRequest, walk: Walk): Promise<SortedFiles> {
  const { base } = request;
  const files = new Map(walk.files.map((file) => [file.path, file]));
  const unreadable = new Set(walk.unreadable);
  const isHidden = (path: BytePath): boolean =>
    unreadable.has(path) || unreadable.has("") || liesBelow(path, unreadable);
  const toRead: BytePath[] = [];
  const deleted: PathChange[] = [];
  const changedLeftOut: BytePath[] = [];
  for (const entry of base.manifest.values()) {
    const file = files.get(entry.path);
    if (isHidden(entry.path) || (file !== undefined && isUntouched(entry, file, base))) continue;
    if (entry.version === undefined) {
      if (file === undefined || stampOf(file.stats) !== entry.stamp) changedLeftOut.push(entry.path);
    } else if (file === undefined) {
      deleted.push(deletion(entry, entry.version));
    } else toRead.push(entry.path);
  }
  const added = await sortNewFiles(request, walk);
  const ignored = [...changedLeftOut, ...added.ignored].sort();
  return { toRead: [...toRead, ...added.toRead], deleted, leftOut: { ignored, nested: added.nested } };
}

function isUntouched(entry: ManifestEntry, file: WalkedFile, base: Base): boolean {
  return stampOf(file.stats) === entry.stamp && !mayHide(entry, base.capturedMs);
}

interface NewFiles extends LeftOut {
  readonly toRead: readonly BytePath[];
}

async function sortNewFiles({ sandbox, review, base, signal }: SnapshotRequest, walk: Walk): Promise<NewFiles> {
  const nestedFolders = new Set([...walk.nested, ...base.nested]);
  const added = walk.files.map(({ path }) => path).filter((path) => !base.manifest.has(path));
  const nested = added.filter((path) => liesBelow(path, nestedFolders));
  const candidates = added.filter((path) => !liesBelow(path, nestedFolders));
  const ignored = await findIgnored({
    git: review.git,
    workspace: sandbox.workspace,
    shadow: join(review.scratch, "rules"),
    files: walk.files,
    candidates,
    ...(signal === undefined ? {} : { signal }),
  });
  return { toRead: candidates.filter((path) => !ignored.has(path)), ignored: [...ignored], nested };
}

async function storeChanged(request: SnapshotRequest, paths: readonly BytePath[]): Promise<readonly PathChange[]> {
  const writer = openBlobWriter(request.review.git);
  try {
    const changes = await inParallel(paths, 8, async (path) => {
      request.signal?.throwIfAborted();
      const known = request.base.manifest.get(path);
      const entry = await readEntry(request.sandbox.workspace, path);
      if (entry.kind !== "file") return known?.version === undefined ? [] : [deletion(known, known.version)];
      if (sameVersion(entry.version, known?.version)) return [];
      if (entry.content.kind === "held") await writer.write(entry.content.bytes);
      return [await describe(request, { path, known, entry })];
    });
    return changes.flat();
  } finally {
    await writer.close();
  }
}

interface Changed {
  readonly path: BytePath;
  readonly known: ManifestEntry | undefined;
  readonly entry: Extract<Entry, { kind: "file" }>;
}

async function describe({ sandbox, review }: SnapshotRequest, { path, known, entry }: Changed): Promise<PathChange> {
  const { content, version, stats } = entry;
  const old = known?.version;
  const large = content.kind === "large" || (known !== undefined && sizeOf(known) > heldBytes);
  if (content.kind === "held") {
    const link = stats.isSymbolicLink() ? { linkTarget: content.bytes.toString("latin1") } : {};
    return { path, old, new: version, sizeBytes: content.bytes.length, large, ...link };
  }
  // It may be written to between hashing and storing: what was stored counts.
  const id = await openEntry({ root: sandbox.workspace, path }, (file) => storeLarge(review.git, file));
  return { path, old, new: { mode: version.mode, id: id ?? version.id }, sizeBytes: content.sizeBytes, large };
}

function deletion(entry: ManifestEntry, old: Version): PathChange {
  return { path: entry.path, old, new: undefined, sizeBytes: 0, large: sizeOf(entry) > heldBytes };
}

async function writeTree(review: ReviewFolder, changes: readonly PathChange[]): Promise<string> {
  await mkdir(review.scratch, { recursive: true });
  const indexFile = join(review.scratch, `${randomUUID()}.index`);
  try {
    const entries = changes.map((change) => ({ path: change.path, version: change.new }));
    return await writeChangedTree(review.git, { baseIndex: review.baseIndex, indexFile }, entries);
  } finally {
    await rm(indexFile, { force: true });
  }
}

function newNested(walk: Walk, base: Base): readonly BytePath[] {
  const known = new Set(base.nested);
  return walk.nested.filter((path) => !known.has(path)).sort();
}
