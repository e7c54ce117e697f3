import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import type { BytePath } from "./byte-path.js";
import { type Entry, readEntry, sameVersion, type Version } from "./entry.js";
import { inFolder } from "./folder.js";
import type { JournalEntry } from "./journal.js";

/** What an apply finds at a path: something to go by, or something that is in the way. */
type Place =
  | { readonly kind: "free"; readonly version: undefined; readonly entry: Entry }
  | { readonly kind: "file"; readonly version: Version; readonly entry: Entry }
  | { readonly kind: "obstructed"; readonly entry: Entry };

/** `removed` holds the paths that the same apply removes: what is only in the way until then is not. */
export async function readPlace(root: string, path: BytePath, removed: ReadonlySet<BytePath>): Promise<Place> {
  const entry = await readEntry(root, path);
  const free: Place = { kind: "free", version: undefined, entry };
  const obstructed: Place = { kind: "obstructed", entry };
  switch (entry.kind) {
    case "absent":
      return free;
    case "file":
      return { kind: "file", version: entry.version, entry };
    case "special":
      return obstructed;
    case "unreachable":
      return removed.has(entry.parent) ? free : obstructed;
    case "folder":
      // A file that is to go and has become a folder is gone, whatever the folder holds.
      return removed.has(path) || (await holdsOnly(root, path, removed)) ? free : obstructed;
    default:
      return entry satisfies never;
  }
}

export type EntryState = "old" | "new" | "other";

/** Where a path of the journal stands. */
export async function stateOf(root: string, entry: JournalEntry, removed: ReadonlySet<BytePath>): Promise<EntryState> {
  const place = await readPlace(root, entry.path, removed);
  if (place.kind === "obstructed") return "other";
  if (sameVersion(place.version, entry.new)) return "new";
  return sameVersion(place.version, entry.old) ? "old" : "other";
}

export function removedPaths(entries: readonly Pick<JournalEntry, "path" | "new">[]): ReadonlySet<BytePath> {
  return new Set(entries.filter((entry) => entry.new === undefined).map(({ path }) => path));
}

/** True if the folder holds no files but these; empty folders do not count. */
async function holdsOnly(root: string, folder: BytePath, allowed: ReadonlySet<BytePath>): Promise<boolean> {
  for (const entry of await list(root, folder)) {
    const path = `${folder}/${entry.name.toString("latin1")}`;
    const fine = entry.isDirectory() ? await holdsOnly(root, path, allowed) : allowed.has(path);
    if (!fine) return false;
  }
  return true;
}

function list(root: string, path: BytePath): Promise<readonly Dirent<Buffer>[]> {
  return inFolder({ root, path }, (folder) => readdir(folder.path, { withFileTypes: true, encoding: "buffer" }));
}
