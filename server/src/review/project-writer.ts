import { link, readdir, rename, rmdir, unlink } from "node:fs/promises";
import { type BytePath, parentsOf } from "./byte-path.js";
import { errorCode, inFolder, inParent, unlessNoFolder } from "./folder.js";
import type { Git } from "./git.js";
import type { JournalEntry } from "./journal.js";
import { inParallel } from "./parallel.js";
import { type EntryState, removedPaths, stateOf } from "./project-state.js";
import { type StagedStep, stageAll, temporaryName } from "./staging.js";

interface WriteRequest {
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
  const { git, root, journalId } = request;
  const anchors = await stageAll({ git, root, journalId, steps: due, onStaged: () => request.failpoint?.("staged") });
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

interface Step extends StagedStep {
  readonly state: EntryState;
}

interface Writer extends WriteRequest {
  readonly removed: ReadonlySet<BytePath>;
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
  const temporary = temporaryName(writer.journalId, step.index);
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
