import { constants } from "node:fs";
import { type FileHandle, link, open, readdir, rename, rmdir, symlink, unlink } from "node:fs/promises";
import { type BlobReader, openBlobReader } from "./blob-reader.js";
import { type BytePath, parentsOf } from "./byte-path.js";
import { executableMode, linkMode } from "./entry.js";
import { errorCode, type Folder, inFolder, inParent, NotAFolder } from "./folder.js";
import type { Git } from "./git.js";
import type { JournalEntry } from "./journal.js";
import { copyBlob } from "./objects.js";
import { inParallel } from "./parallel.js";
import { type EntryState, removedPaths, stateOf } from "./project-state.js";

export interface WriteRequest {
  readonly git: Git;
  readonly root: string;
  /** Names the temporary files, so that they can be found after a crash. */
  readonly journalId: string;
  readonly entries: readonly JournalEntry[];
  /** How to treat what is neither old nor new: stop before it, or leave it and go on. */
  readonly others: "stop" | "keep";
  /** Called at every point where a crash could cut the work off. */
  readonly failpoint?: (name: Failpoint) => void | Promise<void>;
}

export type Failpoint = "journaled" | "staged" | "allStaged" | "written" | "allWritten" | "recorded";

export type WriteResult = { readonly kind: "written" } | { readonly kind: "stopped"; readonly path: BytePath };

/**
 * Brings every path from old to new. All content is written and synced beside its place first, so that a full disk
 * or a forbidden folder shows before anything has changed; what follows are unlinks and renames.
 */
export async function writeProject(request: WriteRequest): Promise<WriteResult> {
  const removed = removedPaths(request.entries);
  const states = await inParallel(request.entries, 8, (entry) => stateOf(request.root, entry, removed));
  const writer = { ...request, removed };
  const steps = orderSteps(request.entries, states);
  const blocked = request.others === "stop" ? firstUnexpected(steps) : undefined;
  if (blocked !== undefined) return { kind: "stopped", path: blocked.entry.path };
  const due = steps.filter(({ state }) => state === "old");
  const anchors = await stageAll(writer, due);
  await request.failpoint?.("allStaged");
  for (const step of due) {
    const written = await take(writer, step, anchors);
    if (!written && request.others === "stop") return { kind: "stopped", path: step.entry.path };
    await request.failpoint?.("written");
  }
  await syncFolders(writer, due);
  await request.failpoint?.("allWritten");
  return { kind: "written" };
}

/** Removes the temporary files of a journal from the folders that it is about. */
export async function removeTemporaryFiles(
  request: Pick<WriteRequest, "root" | "journalId" | "entries">,
): Promise<void> {
  const folders = new Set(["", ...request.entries.flatMap(({ path }) => parentsOf(path))]);
  for (const path of folders) {
    await inFolder({ root: request.root, path }, async (folder) => {
      for (const name of await readdir(folder.path, { encoding: "buffer" })) {
        const text = name.toString("latin1");
        if (text.startsWith(`.agent-manager-${request.journalId}-`)) await unlink(folder.at(text));
      }
    }).catch(unlessNoFolder);
  }
}

interface Writer extends WriteRequest {
  readonly removed: ReadonlySet<BytePath>;
}

interface Step {
  readonly entry: JournalEntry;
  readonly index: number;
  readonly state: EntryState;
}

/** Removals from the inside out, then writes: a file may take the place of a folder, and the other way round. */
function orderSteps(entries: readonly JournalEntry[], states: readonly EntryState[]): readonly Step[] {
  const steps = entries.map((entry, index) => ({ entry, index, state: states[index] ?? "other" }));
  const removals = steps.filter(({ entry }) => entry.new === undefined).reverse();
  return [...removals, ...steps.filter(({ entry }) => entry.new !== undefined)];
}

/**
 * The first path that is neither old nor new. One before a step that was taken was taken too, since steps are taken
 * in order: somebody has edited it since, which is theirs and no reason to stop.
 */
function firstUnexpected(steps: readonly Step[]): Step | undefined {
  const lastTaken = steps.findLastIndex(({ state }) => state === "new");
  return steps.find(({ state }, index) => state === "other" && index > lastTaken);
}

/** Returns for each step's index the folder that holds its temporary file. */
async function stageAll(writer: Writer, steps: readonly Step[]): Promise<ReadonlyMap<number, BytePath>> {
  const reader = openBlobReader(writer.git);
  const anchors = new Map<number, BytePath>();
  try {
    await inParallel(steps, 8, async (step) => {
      if (step.entry.new === undefined) return;
      anchors.set(step.index, await stage(writer, step, reader));
      await writer.failpoint?.("staged");
    });
  } finally {
    reader.close();
  }
  return anchors;
}

/** In the deepest folder that is there already: on the file system that the path will be on. */
async function stage(writer: Writer, step: Step, reader: BlobReader): Promise<BytePath> {
  for (const path of ["", ...parentsOf(step.entry.path)].reverse()) {
    try {
      await inFolder({ root: writer.root, path }, (folder) => writeTemporary(writer, step, { folder, reader }));
      return path;
    } catch (error) {
      unlessNoFolder(error);
    }
  }
  throw new Error(`no folder for ${step.entry.path}`); // the root itself is always there, or opening it has thrown
}

async function writeTemporary(
  writer: Writer,
  { entry, index }: Step,
  { folder, reader }: { readonly folder: Folder; readonly reader: BlobReader },
): Promise<void> {
  const { new: version, owner } = entry;
  if (version === undefined) return;
  const path = folder.at(temporaryName(writer, index));
  if (version.mode === linkMode) return symlink(await reader.read(version.id), path);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const executable = version.mode === executableMode;
  const file = await open(path, flags, executable ? 0o777 : 0o666);
  try {
    if (entry.large) await copyBlob(writer.git, version.id, file);
    else await file.writeFile(await reader.read(version.id));
    if (owner !== undefined)
      await keepOwner(file, { ...owner, permissions: withExecute(owner.permissions, executable) });
    await file.sync();
  } finally {
    await file.close();
  }
}

async function keepOwner(file: FileHandle, owner: NonNullable<JournalEntry["owner"]>): Promise<void> {
  const stats = await file.stat();
  if (stats.uid !== owner.uid || stats.gid !== owner.gid) {
    // Only root may give files away; for others the file becomes theirs, as with any editor that saves by renaming.
    await file.chown(owner.uid, owner.gid).catch(() => undefined);
  }
  await file.chmod(owner.permissions);
}

/** Execute goes to those who may read, as chmod +x under a usual umask would give it. */
function withExecute(permissions: number, executable: boolean): number {
  if (!executable) return permissions & ~0o111;
  return (permissions & 0o100) === 0 ? permissions | 0o100 | ((permissions & 0o044) >> 2) : permissions;
}

/** Takes one step unless the path has changed since it was looked at. */
async function take(writer: Writer, step: Step, anchors: ReadonlyMap<number, BytePath>): Promise<boolean> {
  const { root, removed } = writer;
  const { path } = step.entry;
  if ((await stateOf(root, step.entry, removed)) !== "old") return false;
  if (step.entry.new === undefined) {
    await inParent({ root, path }, (folder, name) => unlink(folder.at(name)));
    await removeEmptyParents(root, path);
    return true;
  }
  if (step.entry.old === undefined) await removeEmptyFolders(root, path);
  const temporary = temporaryName(writer, step.index);
  const moved = await inFolder({ root, path: anchors.get(step.index) ?? "" }, (anchor) =>
    inParent({ root, path, make: true }, (folder, name) =>
      moveInto({ from: anchor.at(temporary), to: folder.at(name), mustBeNew: step.entry.old === undefined }),
    ),
  ).catch(unlessNoFolder);
  return moved ?? false; // a file or link has taken the place of one of its folders
}

interface Move {
  readonly from: Buffer;
  readonly to: Buffer;
  readonly mustBeNew: boolean;
}

async function moveInto({ from, to, mustBeNew }: Move): Promise<boolean> {
  if (mustBeNew) {
    // A link is refused where somebody has just made a file; a rename would replace it.
    const linked = await link(from, to).then(() => "linked" as const, errorCode);
    if (linked === "EEXIST") return false;
    if (linked === "linked") {
      await unlink(from);
      return true;
    }
  }
  await rename(from, to);
  return true;
}

/** Like git: a folder goes with its last file. */
async function removeEmptyParents(root: string, path: BytePath): Promise<void> {
  for (const parent of [...parentsOf(path)].reverse()) {
    const removed = await inParent({ root, path: parent }, (folder, name) => rmdir(folder.at(name))).then(
      () => true,
      () => false, // it holds something else
    );
    if (!removed) return;
  }
}

/** Clears empty folders from a place where a file goes; stateOf has made sure that there is nothing else. */
async function removeEmptyFolders(root: string, path: BytePath): Promise<void> {
  const names = await inFolder({ root, path }, (folder) => readdir(folder.path, { encoding: "buffer" })).catch(
    unlessNoFolder,
  );
  if (names === undefined) return;
  for (const name of names) await removeEmptyFolders(root, `${path}/${name.toString("latin1")}`);
  await inParent({ root, path }, (folder, name) => rmdir(folder.at(name)));
}

async function syncFolders(writer: Writer, steps: readonly Step[]): Promise<void> {
  const folders = new Set(["", ...steps.flatMap(({ entry }) => parentsOf(entry.path))]);
  await inParallel([...folders], 8, (path) =>
    inFolder({ root: writer.root, path }, (folder) => folder.sync()).catch(unlessNoFolder),
  );
}

function temporaryName({ journalId }: Writer, index: number): BytePath {
  return `.agent-manager-${journalId}-${index}`;
}

function unlessNoFolder(error: unknown): undefined {
  if (error instanceof NotAFolder) return undefined;
  throw error;
}
