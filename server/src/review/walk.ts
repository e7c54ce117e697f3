import { type BigIntStats, lstatSync, readdirSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { type BytePath, toBytes } from "./byte-path.js";
import { errorCode } from "./folder.js";

export interface WalkedFile {
  readonly path: BytePath;
  readonly stats: BigIntStats;
}

export interface Walk {
  /** Regular files and links. */
  readonly files: readonly WalkedFile[];
  /** Folders below the root that hold a `.git` of their own. */
  readonly nested: readonly BytePath[];
  /** Sockets, pipes and devices. */
  readonly special: readonly BytePath[];
  /** Folders that could not be listed, and what lies in folders that may be listed but not entered. */
  readonly unreadable: readonly BytePath[];
}

type Found = { readonly [Key in keyof Walk]: Walk[Key][number][] };

/** Lists a tree without following links and without looking into any `.git`, in whatever case it is spelled. */
export async function walkTree(root: string, signal?: AbortSignal): Promise<Walk> {
  signal?.throwIfAborted();
  const found: Found = { files: [], nested: [], special: [], unreadable: [] };
  const waiting: BytePath[] = [""];
  let seen = 0;
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    seen += visit({ root, folder, found, waiting });
    // Synchronous calls are several times faster here; the event loop gets its turn every few milliseconds.
    if (seen > 500) {
      seen = 0;
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
  return found;
}

interface Visit {
  readonly root: string;
  readonly folder: BytePath;
  readonly found: Found;
  readonly waiting: BytePath[];
}

function visit({ root, folder, found, waiting }: Visit): number {
  const names = list(absolute(root, folder));
  if (names === undefined) {
    found.unreadable.push(folder);
    return 1;
  }
  for (const name of names) {
    const path = folder === "" ? name : `${folder}/${name}`;
    if (isDotGit(name)) {
      if (folder !== "") found.nested.push(folder);
      continue;
    }
    const stats = look(absolute(root, path));
    if (stats === "absent") continue; // a process of the agent may still be working
    if (stats === "refused") found.unreadable.push(path);
    else if (stats.isDirectory()) waiting.push(path);
    else if (stats.isFile() || stats.isSymbolicLink()) found.files.push({ path, stats });
    else found.special.push(path);
  }
  return names.length;
}

function list(path: Buffer): readonly string[] | undefined {
  try {
    return readdirSync(path, { encoding: "buffer" }).map((name) => name.toString("latin1"));
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    return undefined;
  }
}

function look(path: Buffer): BigIntStats | "absent" | "refused" {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? "absent";
  } catch (error) {
    return errorCode(error) === "ENOTDIR" ? "absent" : "refused";
  }
}

function absolute(root: string, path: BytePath): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), toBytes(path)]);
}

function isDotGit(name: BytePath): boolean {
  return name.toLowerCase() === ".git";
}
