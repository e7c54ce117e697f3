import { copyFile, rm } from "node:fs/promises";
import { type BytePath, toBytes } from "./byte-path.js";
import type { Version } from "./entry.js";
import type { Git } from "./git.js";

export interface TreeEntry {
  readonly path: BytePath;
  /** Unset: the path is removed. */
  readonly version: Version | undefined;
}

/** Makes an index file of these entries and gives its tree's id. */
export async function writeIndex(git: Git, indexFile: string, entries: readonly TreeEntry[]): Promise<string> {
  await rm(indexFile, { force: true });
  return updateIndex(git, indexFile, entries);
}

/** The tree that results from changing some entries of an index file, which stays as it is. */
export async function writeChangedTree(
  git: Git,
  files: { readonly baseIndex: string; readonly indexFile: string },
  entries: readonly TreeEntry[],
): Promise<string> {
  await copyFile(files.baseIndex, files.indexFile);
  const removed = entries.filter(({ version }) => version === undefined);
  const kept = entries.filter(({ version }) => version !== undefined);
  // Removals first: a file that became a folder is in the way of what lies in it.
  return updateIndex(git, files.indexFile, [...removed, ...kept]);
}

async function updateIndex(git: Git, indexFile: string, entries: readonly TreeEntry[]): Promise<string> {
  const input = Buffer.concat(entries.map(indexLine));
  await git.run(["update-index", "-z", "--index-info"], { input, indexFile });
  const { stdout } = await git.run(["write-tree"], { indexFile });
  return stdout.toString("latin1").trim();
}

function indexLine({ path, version }: TreeEntry): Buffer {
  const mode = (version?.mode ?? 0).toString(8).padStart(6, "0");
  return toBytes(`${mode} ${version?.id ?? "0".repeat(40)} 0\t${path}\0`);
}
