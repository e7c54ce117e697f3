import { copyFile, mkdir, readdir, readFile, rm } from "node:fs/promises";
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
  const git = openGit(join(scratch, "index.git"));
  await rm(git.gitDir, { recursive: true, force: true });
  await mkdir(git.gitDir, { recursive: true });
  await git.run(["init", "--bare", "--quiet", "--template=", `--object-format=${await objectFormat(gitDir)}`]);
  for (const name of names) await copyFile(join(gitDir, name), join(git.gitDir, name));
  // A sparse index cannot be expanded without its trees; a git that knows no --sparse writes none.
  const listed = await git.run(["ls-files", "-z", "--sparse"]).catch(() => git.run(["ls-files", "-z"]));
  await rm(git.gitDir, { recursive: true, force: true });
  return new Set(
    listed.stdout
      .toString("latin1")
      .split("\0")
      .filter((path) => path !== ""),
  );
}

/** An index does not say which hash it uses, and read with the wrong one it gives garbage instead of an error. */
async function objectFormat(gitDir: string): Promise<string> {
  const config = await readFile(join(gitDir, "config"), "utf8").catch(() => "");
  return /^\s*objectformat\s*=\s*"?sha256/im.test(config) ? "sha256" : "sha1";
}
