import { execFile } from "node:child_process";
import { constants, type Stats } from "node:fs";
import { cp, lstat } from "node:fs/promises";
import { SandboxError } from "../sandbox-provider.js";

interface CopyRequest {
  readonly from: string;
  /** An existing empty folder. */
  readonly to: string;
  readonly signal?: AbortSignal;
}

/** Copies a folder's content with links, modes and times as they are. Returns what a reader should know. */
export async function copyTree(request: CopyRequest): Promise<readonly string[]> {
  try {
    return process.platform === "linux" ? await copyWithCp(request) : await copyWithNode(request);
  } catch (error) {
    if (request.signal?.aborted) throw new SandboxError("aborted", "the sandbox was cancelled while it was made");
    throw error;
  }
}

/** GNU cp: clones blocks where the file system can (btrfs, xfs), which Node's copy of a folder does not. */
async function copyWithCp(request: CopyRequest): Promise<readonly string[]> {
  const args = ["-a", "--reflink=auto", "--", `${request.from}/.`, request.to];
  const { failed, stderr } = await run("cp", args, request.signal);
  if (!failed) return [];
  if (/No space left on device|Disk quota exceeded/.test(stderr)) throw noSpace(request.from);
  const lines = stderr.split("\n").filter((line) => line !== "");
  // A project that is being worked in: files vanish between listing and copying, others are not ours to read.
  const harmless = /^cp: cannot (open|stat|access) .*: (Permission denied|No such file or directory)$/;
  if (lines.length === 0 || !lines.every((line) => harmless.test(line))) {
    throw new SandboxError("failed", `the project could not be copied: ${lines[0] ?? "cp failed"}`);
  }
  const unreadable = lines.filter((line) => line.endsWith("Permission denied"));
  if (unreadable.length === 0) return [];
  return [`${unreadable.length} unreadable files are missing in the workspace, first: ${unreadable[0]}`];
}

/** The way without GNU cp. */
export async function copyWithNode(request: CopyRequest): Promise<readonly string[]> {
  try {
    await cp(request.from, request.to, {
      recursive: true,
      verbatimSymlinks: true,
      preserveTimestamps: true,
      mode: constants.COPYFILE_FICLONE,
      filter: async (source) => {
        request.signal?.throwIfAborted();
        return isCopyable(await lstat(source));
      },
    });
    return [];
  } catch (error) {
    if (isNoSpace(error)) throw noSpace(request.from);
    throw new SandboxError("failed", `the project could not be copied: ${describe(error)}`, { cause: error });
  }
}

function isCopyable(stats: Stats): boolean {
  return stats.isFile() || stats.isDirectory() || stats.isSymbolicLink();
}

function run(
  file: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ readonly failed: boolean; readonly stderr: string }> {
  const options = { env: { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" }, maxBuffer: 2 ** 26 };
  return new Promise((resolve, reject) => {
    execFile(file, args, signal === undefined ? options : { ...options, signal }, (error, _stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ failed: error !== null, stderr });
    });
  });
}

function isNoSpace(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

function noSpace(from: string): SandboxError {
  return new SandboxError("no_space", `no space left for a copy of "${from}"; free some or move the data folder`);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
