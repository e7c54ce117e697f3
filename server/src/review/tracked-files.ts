import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { BytePath } from "./byte-path.js";
import { openGit } from "./git.js";

/**
 * The paths that the project's own git tracks, also where .gitignore names them. Read from a private copy of the
 * index in a repository of ours, so that the project's configuration plays no part.
 */
export async function trackedFiles(workspace: string, scratch: string): Promise<ReadonlySet<BytePath>> {
  const gitDir = join(workspace, ".git");
  const names = (await readdir(gitDir).catch(() => [])).filter((name) => /^(index|sharedindex\.[0-9a-f]+)$/.test(name));
  if (!names.includes("index")) return new Set();
  // The index says neither which hash it uses nor whether folders are collapsed in it (sparse); old gits know no --sparse.
  for (const format of ["sha1", "sha256"]) {
    const git = openGit(join(scratch, `index-${format}`));
    await mkdir(git.gitDir, { recursive: true });
    await git.run(["init", "--bare", "--quiet", "--template=", `--object-format=${format}`]);
    for (const name of names) await copyFile(join(gitDir, name), join(git.gitDir, name));
    for (const args of [
      ["ls-files", "-z", "--sparse"],
      ["ls-files", "-z"],
    ]) {
      const listed = await git.run(args).catch(() => undefined);
      if (listed === undefined) continue;
      await rm(git.gitDir, { recursive: true, force: true });
      return new Set(
        listed.stdout
          .toString("latin1")
          .split("\0")
          .filter((path) => path !== ""),
      );
    }
  }
  return new Set();
}
