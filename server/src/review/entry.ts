import { createHash } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, lstat, open, readlink } from "node:fs/promises";
import type { BytePath } from "./byte-path.js";
import { errorCode, inParent, NotAFolder } from "./folder.js";

const regularMode = 0o100644;
export const executableMode = 0o100755;
export const linkMode = 0o120000;

/** One side of a change: git's mode and blob id. */
export interface Version {
  readonly mode: number;
  readonly id: string;
}

/** What is at a path now. */
export type Entry =
  | { readonly kind: "absent" }
  /** A parent is a link or a file. */
  | { readonly kind: "unreachable"; readonly parent: BytePath; readonly link: boolean }
  | { readonly kind: "folder" }
  /** A socket, pipe or device. */
  | { readonly kind: "special" }
  | { readonly kind: "file"; readonly version: Version; readonly content: Content; readonly stats: BigIntStats };

/** Small content is held, large content is read again when it is needed. */
export type Content =
  | { readonly kind: "held"; readonly bytes: Buffer }
  | { readonly kind: "large"; readonly sizeBytes: number };

/** Content up to this size is held in memory. */
export const heldBytes = 32 * 1024 * 1024;

/** Reads what is at a path, never through a link. */
export async function readEntry(root: string, path: BytePath): Promise<Entry> {
  try {
    return await inParent({ root, path }, (folder, name) => readAt(folder.at(name)));
  } catch (error) {
    if (!(error instanceof NotAFolder)) throw error;
    if (error.kind === "absent") return { kind: "absent" };
    return { kind: "unreachable", parent: error.path, link: error.kind === "link" };
  }
}

/** Opens a regular file for reading, never through a link; undefined if something else is there. */
export async function openEntry<T>(
  where: { readonly root: string; readonly path: BytePath },
  use: (file: FileHandle) => Promise<T>,
): Promise<T | undefined> {
  return inParent(where, async (folder, name) => {
    const file = await openRegular(folder.at(name));
    if (file === undefined) return undefined;
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  });
}

export function modeOf(stats: BigIntStats): number {
  if (stats.isSymbolicLink()) return linkMode;
  return (stats.mode & 0o100n) === 0n ? regularMode : executableMode;
}

export function sameVersion(a: Version | undefined, b: Version | undefined): boolean {
  return a?.mode === b?.mode && a?.id === b?.id;
}

/** Git's id of a blob. */
export function blobId(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

async function readAt(path: Buffer): Promise<Entry> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const entry = await tryRead(path);
    if (entry !== "swapped") return entry;
  }
  throw new Error("a file keeps being replaced while it is read; end what does that and try again");
}

/** "swapped" if something else took the path's place between two looks. */
async function tryRead(path: Buffer): Promise<Entry | "swapped"> {
  const stats = await lstat(path, { bigint: true }).catch(whenAbsent);
  if (stats === undefined) return { kind: "absent" };
  if (stats.isDirectory()) return { kind: "folder" };
  if (stats.isSymbolicLink()) return readLink(path, stats);
  if (!stats.isFile()) return { kind: "special" };
  const file = await openRegular(path);
  if (file === undefined) return "swapped";
  try {
    return await readFile(file);
  } finally {
    await file.close();
  }
}

async function readLink(path: Buffer, stats: BigIntStats): Promise<Entry | "swapped"> {
  const bytes = await readlink(path, { encoding: "buffer" }).catch((error: unknown) => {
    if (["EINVAL", "ENOENT"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  });
  if (bytes === undefined) return "swapped";
  return { kind: "file", version: { mode: linkMode, id: blobId(bytes) }, content: { kind: "held", bytes }, stats };
}

async function readFile(file: FileHandle): Promise<Entry> {
  const stats = await file.stat({ bigint: true });
  const mode = modeOf(stats);
  if (stats.size <= heldBytes) {
    const bytes = await file.readFile();
    return { kind: "file", version: { mode, id: blobId(bytes) }, content: { kind: "held", bytes }, stats };
  }
  const id = await hashLarge(file, Number(stats.size));
  return { kind: "file", version: { mode, id }, content: { kind: "large", sizeBytes: Number(stats.size) }, stats };
}

async function hashLarge(file: FileHandle, sizeBytes: number): Promise<string> {
  const hash = createHash("sha1").update(`blob ${sizeBytes}\0`);
  const chunk = Buffer.alloc(1024 * 1024);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(chunk.subarray(0, bytesRead));
    at += bytesRead;
  }
}

/** Without waiting for a writer if a pipe took the file's place. */
async function openRegular(path: Buffer): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    if (["ELOOP", "ENOENT", "ENXIO", "ENOTDIR", "EISDIR"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  });
  if (file === undefined || (await file.stat()).isFile()) return file;
  await file.close();
  return undefined;
}

function whenAbsent(error: unknown): undefined {
  if (errorCode(error) === "ENOENT") return undefined;
  throw error;
}
