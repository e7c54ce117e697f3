import type { BytePath } from "./byte-path.js";
import { readIfThere, removeDurably, writeDurably } from "./durable-file.js";
import type { Version } from "./entry.js";
import type { ReviewFolder } from "./review-folder.js";

/** One path of the project that an apply writes. Unset versions mean absent. */
export interface JournalEntry {
  readonly path: BytePath;
  readonly old: Version | undefined;
  readonly new: Version | undefined;
  /** Of the file that was there, to be kept. */
  readonly owner?: FileOwner | undefined;
  /** One of the versions is too large to be held in memory. */
  readonly large: boolean;
}

export interface FileOwner {
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
}

/** Written before the project is touched, removed when the apply is finished or undone. */
export interface Journal {
  readonly version: 1;
  readonly journalId: string;
  readonly digest: string;
  readonly projectRoot: string;
  readonly entries: readonly JournalEntry[];
  /** The paths of the change set, for the answer. */
  readonly files: readonly string[];
}

/** The outcome of the last finished apply. */
export interface Applied {
  readonly digest: string;
  readonly files: readonly string[];
}

export async function writeJournal(review: ReviewFolder, journal: Journal): Promise<void> {
  await writeDurably(review.journal, JSON.stringify(journal));
}

export async function readJournal(review: ReviewFolder): Promise<Journal | undefined> {
  const text = await readIfThere(review.journal);
  return text === undefined ? undefined : (JSON.parse(text) as Journal); // our own file, renamed into place whole
}

export async function dropJournal(review: ReviewFolder): Promise<void> {
  await removeDurably(review.journal);
}

export async function writeApplied(review: ReviewFolder, applied: Applied): Promise<void> {
  await writeDurably(review.applied, JSON.stringify(applied));
}

export async function readApplied(review: ReviewFolder): Promise<Applied | undefined> {
  const text = await readIfThere(review.applied);
  return text === undefined ? undefined : (JSON.parse(text) as Applied); // our own file, as above
}

/** The same journal the other way round. */
export function inverted(entries: readonly JournalEntry[]): readonly JournalEntry[] {
  return entries.map((entry) => ({ ...entry, old: entry.new, new: entry.old }));
}
