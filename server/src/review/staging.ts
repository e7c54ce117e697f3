import { constants } from "node:fs";
import { type FileHandle, open, readdir, symlink, unlink } from "node:fs/promises";
import { type BlobReader, openBlobReader } from "./blob-reader.js";
import { type BytePath, parentsOf } from "./byte-path.js";
import { executableMode, linkMode } from "./entry.js";
import { type Folder, inFolder, unlessNoFolder } from "./folder.js";
import type { Git } from "./git.js";
import type { JournalEntry } from "./journal.js";
import { copyBlob } from "./objects.js";
import { inParallel } from "./parallel.js";

interface StagingRequest {
  readonly git: Git;
  readonly root: string;
  /** Names the temporary files, so that they can be found after a crash. */
  readonly journalId: string;
  readonly steps: readonly StagedStep[];
  readonly onStaged: () => void | Promise<void>;
}

export interface StagedStep {
  readonly entry: JournalEntry;
  /** Position in the journal. */
  readonly index: number;
}

/**
 * Writes and syncs all new content beside its place. Returns for each step's index the folder that holds its
 * temporary file.
 */
export async function stageAll(request: StagingRequest): Promise<ReadonlyMap<number, BytePath>> {
  const reader = openBlobReader(request.git);
  const anchors = new Map<number, BytePath>();
  try {
    await inParallel(request.steps, 8, async (step) => {
      if (step.entry.new === undefined) return;
      anchors.set(step.index, await stage(request, step, reader));
      await request.onStaged();
    });
  } finally {
    reader.close();
  }
  return anchors;
}

/** In the deepest folder that is there already: on the file system that the path will be on. */
async function stage(request: StagingRequest, step: StagedStep, reader: BlobReader): Promise<BytePath> {
  for (const path of ["", ...parentsOf(step.entry.path)].reverse()) {
    try {
      await inFolder({ root: request.root, path }, (folder) => writeTemporary(request, step, { folder, reader }));
      return path;
    } catch (error) {
      unlessNoFolder(error);
    }
  }
  throw new Error(`no folder for ${step.entry.path}`); // the root itself is always there, or opening it has thrown
}

async function writeTemporary(
  request: StagingRequest,
  { entry, index }: StagedStep,
  { folder, reader }: { readonly folder: Folder; readonly reader: BlobReader },
): Promise<void> {
  const { new: version, owner } = entry;
  if (version === undefined) return;
  const path = folder.at(temporaryName(request.journalId, index));
  if (version.mode === linkMode) return symlink(await reader.read(version.id), path);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const executable = version.mode === executableMode;
  const file = await open(path, flags, executable ? 0o777 : 0o666);
  try {
    if (entry.large) await copyBlob(request.git, version.id, file);
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

/** Removes the temporary files of a journal from the folders that it is about. */
export async function removeTemporaryFiles(request: TemporaryFiles): Promise<void> {
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

interface TemporaryFiles {
  readonly root: string;
  readonly journalId: string;
  readonly entries: readonly JournalEntry[];
}

export function temporaryName(journalId: string, index: number): BytePath {
  return `.agent-manager-${journalId}-${index}`;
}
