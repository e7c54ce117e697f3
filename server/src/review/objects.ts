import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { FileHandle } from "node:fs/promises";
import { blobId } from "./entry.js";
import { type Git, gitFailed } from "./git.js";

/** Stores blobs; they can be read once `close` has returned. */
export interface BlobWriter {
  write(content: Buffer): Promise<void>;
  close(): Promise<void>;
}

/**
 * One fast-import for all blobs: a process per file would take seconds for a thousand files, loose objects tens of
 * seconds for a large project. It skips what is stored already and syncs its pack.
 */
export function openBlobWriter(git: Git): BlobWriter {
  let running: { readonly child: ChildProcess; readonly ended: Promise<void> } | undefined;
  const written = new Set<string>();
  return {
    async write(content) {
      const id = blobId(content);
      if (written.has(id)) return;
      written.add(id);
      running ??= startImport(git);
      const stdin = running.child.stdin;
      if (stdin === null || !stdin.writable) return; // it died; close says why
      stdin.write(`blob\ndata ${content.length}\n`);
      stdin.write(content);
      // A dead importer never drains: its end releases the wait.
      if (!stdin.write("\n"))
        await Promise.race([once(stdin, "drain").catch(() => undefined), running.ended.catch(() => undefined)]);
    },
    async close() {
      running?.child.stdin?.end();
      await running?.ended;
    },
  };
}

/** Stores a large file without holding it in memory. */
export async function storeLarge(git: Git, file: FileHandle): Promise<string> {
  const { stdout } = await git.run(["hash-object", "-w", "--no-filters", "--stdin"], { input: file.fd });
  return stdout.toString("latin1").trim();
}

/** Writes a blob's content to an open file without holding it in memory. */
export async function copyBlob(git: Git, id: string, to: FileHandle): Promise<void> {
  await git.run(["cat-file", "blob", id], { output: to.fd });
}

function startImport(git: Git): { readonly child: ChildProcess; readonly ended: Promise<void> } {
  const args = ["-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", "--depth=0"];
  const child = git.start(args);
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString("utf8")).slice(0, 2000);
  });
  child.stdout?.resume();
  child.stdin?.on("error", () => undefined); // the exit code says why
  const ended = new Promise<void>((resolve, reject) => {
    child.on("error", (cause) => reject(gitFailed(["fast-import"], cause.message, cause)));
    child.on("close", (code) => {
      if (code === 0) resolve();
      else reject(gitFailed(["fast-import"], complaint.trim() || `git ended with ${code ?? "a signal"}`));
    });
  });
  ended.catch(() => undefined); // whoever awaits close sees it
  return { child, ended };
}
