import { chmod, lstat, readdir, rm } from "node:fs/promises";

/** Removes a folder with everything in it; links are removed, never followed. An absent one is fine. */
export async function removeTree(path: string): Promise<void> {
  const options = { recursive: true, force: true, maxRetries: 3 };
  try {
    await rm(path, options);
  } catch (error) {
    if (!isRefused(error)) throw error;
    // Folders without write permission (module caches) refuse the removal of their entries.
    await openFolders(Buffer.from(path));
    await rm(path, options);
  }
}

async function openFolders(path: Buffer): Promise<void> {
  const stats = await lstat(path);
  if (!stats.isDirectory()) return;
  if ((stats.mode & 0o700) !== 0o700) await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true, encoding: "buffer" })) {
    if (entry.isDirectory()) await openFolders(Buffer.concat([path, Buffer.from("/"), entry.name]));
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EPERM");
}
