import { type ApplyConflict, ApplyConflictKind } from "@agent-manager/sdk/proto";
import { type BlobReader, openBlobReader } from "./blob-reader.js";
import { type BytePath, toText } from "./byte-path.js";
import { blobId, type Entry, type Version } from "./entry.js";
import type { FileOwner, JournalEntry } from "./journal.js";
import { type BlobWriter, openBlobWriter } from "./objects.js";
import { inParallel } from "./parallel.js";
import type { PathChange } from "./path-change.js";
import { readPlace, removedPaths } from "./project-state.js";
import { isProtected } from "./protected-path.js";
import type { ReviewFolder } from "./review-folder.js";
import { decidePath, heldContent, mergeModes, mergeTexts } from "./three-way.js";

export type Conflict = Omit<ApplyConflict, "$typeName">;

type ApplyPlan =
  | { readonly kind: "planned"; readonly entries: readonly JournalEntry[] }
  | { readonly kind: "conflict"; readonly conflicts: readonly Conflict[] };

interface PlanRequest {
  readonly review: ReviewFolder;
  readonly root: string;
  readonly changes: readonly PathChange[];
  readonly signal?: AbortSignal;
}

/**
 * Decides for every path what the project gets, against the project as it is now. Everything that will be written,
 * and everything that would have to be restored, is in the private repository when this returns.
 */
export async function planApply(request: PlanRequest): Promise<ApplyPlan> {
  const reader = openBlobReader(request.review.git);
  const writer = openBlobWriter(request.review.git);
  try {
    const planner = { ...request, reader, writer, removed: removedPaths(request.changes) };
    const steps = await inParallel(request.changes, 8, (change) => planPath(planner, change));
    const conflicts = steps.flatMap((step) => (step.kind === "conflict" ? [step.conflict] : []));
    if (conflicts.length > 0) return { kind: "conflict", conflicts };
    return { kind: "planned", entries: steps.flatMap((step) => (step.kind === "write" ? [step.entry] : [])) };
  } finally {
    reader.close();
    await writer.close();
  }
}

type Step =
  | { readonly kind: "nothing" }
  | { readonly kind: "write"; readonly entry: JournalEntry }
  | { readonly kind: "conflict"; readonly conflict: Conflict };

interface Planner extends PlanRequest {
  readonly reader: BlobReader;
  readonly writer: BlobWriter;
  readonly removed: ReadonlySet<BytePath>;
}

async function planPath(planner: Planner, change: PathChange): Promise<Step> {
  planner.signal?.throwIfAborted();
  if (isProtected(change.path)) return refuse(change.path, ApplyConflictKind.PROTECTED);
  const place = await readPlace(planner.root, change.path, planner.removed);
  if (place.kind === "obstructed") return refuse(change.path, ApplyConflictKind.TYPE);
  // An empty folder is in nobody's way, but it is not the file that the run has changed.
  const replaced = place.entry.kind === "folder" && change.old !== undefined && change.new !== undefined;
  if (replaced) return refuse(change.path, ApplyConflictKind.TYPE);
  const decision = decidePath({ base: change.old, ours: place.version, theirs: change.new });
  switch (decision.kind) {
    case "already":
      return { kind: "nothing" };
    case "take":
      return {
        kind: "write",
        entry: {
          path: change.path,
          old: place.version,
          new: change.new,
          owner: ownerOf(place.entry),
          large: change.large || isLarge(place.entry),
        },
      };
    case "conflict":
      return refuse(change.path, decision.conflict);
    case "merge":
      return mergePath(planner, { ...decision, change, entry: place.entry });
    default:
      return decision satisfies never;
  }
}

interface BothChanged {
  readonly change: PathChange;
  readonly entry: Entry;
  readonly base: Version;
  readonly ours: Version;
  readonly theirs: Version;
}

async function mergePath(planner: Planner, sides: BothChanged): Promise<Step> {
  const { change, entry, base, ours, theirs } = sides;
  const mode = mergeModes(base.mode, ours.mode, theirs.mode);
  const id = await mergeContent(planner, sides);
  if (typeof id !== "string") return refuse(change.path, id.conflict);
  if (id === ours.id && mode === ours.mode) return { kind: "nothing" };
  const large = change.large || isLarge(entry);
  return { kind: "write", entry: { path: change.path, old: ours, new: { mode, id }, owner: ownerOf(entry), large } };
}

async function mergeContent(
  { reader, writer, review }: Planner,
  { entry, base, ours, theirs }: BothChanged,
): Promise<string | { readonly conflict: ApplyConflictKind }> {
  const content = heldContent(entry);
  if (content !== undefined) await writer.write(content);
  if (ours.id === theirs.id || theirs.id === base.id) return ours.id;
  if (ours.id === base.id) return theirs.id;
  if (content === undefined) return { conflict: ApplyConflictKind.BINARY };
  const [baseText, theirText] = await Promise.all([reader.read(base.id), reader.read(theirs.id)]);
  const texts = { base: baseText, ours: content, theirs: theirText };
  const merge = await mergeTexts({ git: review.git, scratch: review.scratch, ...texts });
  switch (merge.kind) {
    case "conflict":
      return { conflict: ApplyConflictKind.CONTENT };
    case "binary":
      return { conflict: ApplyConflictKind.BINARY };
    case "merged":
      await writer.write(merge.content);
      return blobId(merge.content);
    default:
      return merge satisfies never;
  }
}

function isLarge(entry: Entry): boolean {
  return entry.kind === "file" && entry.content.kind === "large";
}

function ownerOf(entry: Entry): FileOwner | undefined {
  if (entry.kind !== "file" || entry.stats.isSymbolicLink()) return undefined;
  const { mode, uid, gid } = entry.stats;
  return { permissions: Number(mode & 0o7777n), uid: Number(uid), gid: Number(gid) };
}

function refuse(path: BytePath, kind: ApplyConflictKind): Step {
  return { kind: "conflict", conflict: describeConflict(path, kind) };
}

export function describeConflict(path: BytePath, kind: ApplyConflictKind): Conflict {
  return { path: toText(path), kind, detail: details[kind] };
}

const details: Readonly<Record<ApplyConflictKind, string>> = {
  [ApplyConflictKind.UNSPECIFIED]: "the file changed in the project while the change set was applied; approve again",
  [ApplyConflictKind.CONTENT]: "the project and the run changed the same lines; undo one of the two and approve again",
  [ApplyConflictKind.DELETE_MODIFY]: "one side deleted what the other changed; undo one of the two and approve again",
  [ApplyConflictKind.BOTH_ADDED]: "the project and the run added this path with different content; move yours away",
  [ApplyConflictKind.BINARY]: "both sides changed a file or link that cannot be merged; undo one of the two",
  [ApplyConflictKind.TYPE]: "the path is a file, folder or link of another kind in the project now, or lies behind one",
  [ApplyConflictKind.PROTECTED]: "no run may write this path; reject the change set",
};
