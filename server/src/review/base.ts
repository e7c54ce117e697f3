import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Sandbox } from "../sandbox/sandbox-provider.js";
import type { BytePath } from "./byte-path.js";
import { readIfThere, writeDurably } from "./durable-file.js";
import { heldBytes, openEntry, readEntry } from "./entry.js";
import { findIgnored, outerRules } from "./ignore.js";
import { encodeManifest, entryFor, type Manifest, type ManifestEntry, readManifest } from "./manifest.js";
import { type BlobWriter, openBlobWriter, storeLarge } from "./objects.js";
import { inParallel } from "./parallel.js";
import { type ReviewFolder, reviewFolder } from "./review-folder.js";
import { trackedFiles } from "./tracked-files.js";
import { type TreeEntry, writeIndex } from "./tree.js";
import { type Walk, type WalkedFile, walkTree } from "./walk.js";

/** The project as the agent found it. */
export interface Base {
  readonly tree: string;
  readonly capturedMs: number;
  readonly nested: readonly BytePath[];
  readonly manifest: Manifest;
}

interface BaseRecord {
  readonly version: 1;
  readonly tree: string;
  readonly capturedMs: number;
  readonly nested: readonly BytePath[];
}

/** Stores every file that change sets may be about, byte for byte, and a stamp of each to find changes by. */
export async function captureBase(sandbox: Sandbox, signal?: AbortSignal): Promise<void> {
  const review = reviewFolder(sandbox.reviewDir);
  if ((await readIfThere(review.base)) !== undefined) return;
  await prepare(sandbox, review);
  const capturedMs = Date.now();
  const walk = await walkTree(sandbox.workspace, signal);
  const included = await chooseFiles({ sandbox, review, walk, ...(signal === undefined ? {} : { signal }) });
  const entries = await storeFiles({ sandbox, review, walk, included, ...(signal === undefined ? {} : { signal }) });
  const tree = await writeIndex(review.git, review.baseIndex, entries.filter(isIncluded));
  await writeDurably(review.manifest, encodeManifest(entries));
  const record: BaseRecord = { version: 1, tree, capturedMs, nested: walk.nested };
  await writeDurably(review.base, JSON.stringify(record));
}

/** The captured base; undefined if there is none. */
export async function readBase(review: ReviewFolder): Promise<Base | undefined> {
  const text = await readIfThere(review.base);
  if (text === undefined) return undefined;
  const record = JSON.parse(text) as BaseRecord; // our own file, written by captureBase
  return { ...record, manifest: await readManifest(review.manifest) };
}

/** True if the path lies below one of the folders. */
export function liesBelow(path: BytePath, folders: ReadonlySet<BytePath>): boolean {
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) {
    if (folders.has(path.slice(0, at))) return true;
  }
  return false;
}

async function prepare(sandbox: Sandbox, review: ReviewFolder): Promise<void> {
  // What a capture that was cut off left behind.
  for (const path of [review.git.gitDir, review.baseIndex, review.manifest, review.scratch]) {
    await rm(path, { recursive: true, force: true });
  }
  await mkdir(review.git.gitDir, { recursive: true });
  await mkdir(review.scratch, { recursive: true });
  await review.git.run(["init", "--bare", "--quiet", "--template=", "--object-format=sha1"]);
  const info = join(review.git.gitDir, "info");
  await mkdir(info, { recursive: true });
  // No conversion of any kind: the store holds the bytes of the files.
  await writeFile(join(info, "attributes"), "* -text -filter -ident -working-tree-encoding !diff !merge\n");
  await writeFile(join(info, "exclude"), await outerRules(sandbox.projectRoot, sandbox.workspace));
}

interface Capture {
  readonly sandbox: Sandbox;
  readonly review: ReviewFolder;
  readonly walk: Walk;
  readonly signal?: AbortSignal;
}

/** All but what .gitignore names and nested repositories hold, unless it is tracked. */
async function chooseFiles({ sandbox, review, walk, signal }: Capture): Promise<ReadonlySet<BytePath>> {
  const tracked = await trackedFiles(sandbox.workspace, review.scratch);
  const nested = new Set(walk.nested);
  const candidates = walk.files
    .map(({ path }) => path)
    .filter((path) => !tracked.has(path) && !liesBelow(path, nested));
  const ignored = await findIgnored({
    git: review.git,
    workspace: sandbox.workspace,
    shadow: join(review.scratch, "rules"),
    files: walk.files,
    candidates,
    ...(signal === undefined ? {} : { signal }),
  });
  const chosen = candidates.filter((path) => !ignored.has(path));
  return new Set([...chosen, ...walk.files.map(({ path }) => path).filter((path) => tracked.has(path))]);
}

async function storeFiles(
  capture: Capture & { readonly included: ReadonlySet<BytePath> },
): Promise<readonly ManifestEntry[]> {
  const writer = openBlobWriter(capture.review.git);
  try {
    return await inParallel(capture.walk.files, 8, async (file) => {
      capture.signal?.throwIfAborted();
      if (!capture.included.has(file.path)) return entryFor(file.path, file.stats, undefined);
      return entryFor(file.path, file.stats, await storeFile(capture, file, writer));
    });
  } finally {
    await writer.close();
  }
}

/** The id of the stored blob; undefined for a file that cannot be read: it is left out of change sets. */
async function storeFile(capture: Capture, file: WalkedFile, writer: BlobWriter): Promise<string | undefined> {
  const where = { root: capture.sandbox.workspace, path: file.path };
  if (file.stats.isFile() && file.stats.size > heldBytes) {
    return openEntry(where, (handle) => storeLarge(capture.review.git, handle));
  }
  const entry = await readEntry(where.root, where.path).catch(() => undefined);
  if (entry?.kind !== "file" || entry.content.kind !== "held") return undefined;
  await writer.write(entry.content.bytes);
  return entry.version.id;
}

function isIncluded(entry: ManifestEntry): entry is ManifestEntry & TreeEntry {
  return entry.version !== undefined;
}
