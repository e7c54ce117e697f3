import { constants, existsSync } from "node:fs";
import { type FileHandle, lstat, mkdir, open } from "node:fs/promises";
import { type BytePath, toBytes } from "./byte-path.js";

/** A folder that was reached without passing a link, and stays the same one whatever is renamed meanwhile. */
export interface Folder {
  /** The folder itself. */
  readonly path: Buffer;
  /** The path of an entry, for calls that do not follow a link in the last component. */
  at(name: BytePath): Buffer;
  sync(): Promise<void>;
}

/** What kept a folder from being reached; `path` is the component that is none. */
export class NotAFolder extends Error {
  override readonly name = "NotAFolder";

  constructor(
    readonly path: BytePath,
    readonly kind: "absent" | "link" | "other",
  ) {
    super(`${path} is no folder: ${kind}`);
  }
}

interface FolderRequest {
  /** Absolute real path of the root. */
  readonly root: string;
  /** Path of the folder below the root; empty for the root itself. */
  readonly path: BytePath;
  /** Makes missing folders. */
  readonly make?: boolean;
}

/**
 * Walks to a folder component by component and gives it to `use`. On Linux each step is relative to the open
 * folder before it (through /proc/self/fd, as openat would), so a component swapped for a link after it was checked
 * leads nowhere. Throws NotAFolder.
 */
export async function inFolder<T>(request: FolderRequest, use: (folder: Folder) => Promise<T>): Promise<T> {
  let handle = await open(request.root, openFolder);
  try {
    let reached: Buffer = Buffer.from(request.root);
    let passed = "";
    for (const name of request.path === "" ? [] : request.path.split("/")) {
      passed = passed === "" ? name : `${passed}/${name}`;
      const next = await step({ parent: base(handle, reached), name, passed, make: request.make ?? false });
      await handle.close();
      handle = next;
      reached = join(reached, name);
    }
    return await use(folder(handle, base(handle, reached)));
  } finally {
    await handle.close();
  }
}

/** The same for the folder that holds `path`; `use` gets the last component too. */
export function inParent<T>(request: FolderRequest, use: (folder: Folder, name: BytePath) => Promise<T>): Promise<T> {
  const cut = request.path.lastIndexOf("/");
  const parent = cut === -1 ? "" : request.path.slice(0, cut);
  return inFolder({ ...request, path: parent }, (found) => use(found, request.path.slice(cut + 1)));
}

const openFolder = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const byHandle = process.platform === "linux" && existsSync("/proc/self/fd");

interface Step {
  readonly parent: Buffer;
  readonly name: BytePath;
  readonly passed: BytePath;
  readonly make: boolean;
}

async function step({ parent, name, passed, make }: Step): Promise<FileHandle> {
  const path = join(parent, name);
  if (make) await mkdir(path).catch(unlessExisting);
  try {
    return await open(path, openFolder);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") throw new NotAFolder(passed, "absent");
    if (code !== "ENOTDIR" && code !== "ELOOP") throw error;
    const stats = await lstat(path).catch(() => undefined);
    throw new NotAFolder(passed, stats?.isSymbolicLink() ? "link" : "other");
  }
}

function folder(handle: FileHandle, path: Buffer): Folder {
  return { path, at: (name) => join(path, name), sync: () => handle.sync() };
}

function base(handle: FileHandle, reached: Buffer): Buffer {
  return byHandle ? Buffer.from(`/proc/self/fd/${handle.fd}`) : reached;
}

function join(parent: Buffer, name: BytePath): Buffer {
  return Buffer.concat([parent, Buffer.from("/"), toBytes(name)]);
}

function unlessExisting(error: unknown): void {
  if (errorCode(error) !== "EEXIST") throw error;
}

/** For `catch`: what is not reached counts as nothing there. */
export function unlessNoFolder(error: unknown): undefined {
  if (error instanceof NotAFolder) return undefined;
  throw error;
}

/** The code of a system error, for example "ENOENT". */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
