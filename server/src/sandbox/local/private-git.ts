import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { copyTree } from "./copy-tree.js";
import { tidyGitFolder } from "./git-folder.js";
import { holds } from "./project-root.js";

interface GitCopyRequest {
  /** The folder in the copy whose `.git` is looked at. */
  readonly folder: string;
  /** The same folder in the project. */
  readonly original: string;
  readonly projectRoot: string;
  readonly workspace: string;
  readonly signal?: AbortSignal;
}

/**
 * Makes sure that git, run in this folder of the copy, can reach nothing of the original: a linked worktree, a
 * submodule or a linked `.git` would lead every commit, branch and config change into the real repository.
 */
export async function makeGitPrivate(request: GitCopyRequest): Promise<void> {
  const dotGit = join(request.folder, ".git");
  const elsewhere = (await lstat(dotGit)).isDirectory() ? undefined : await findGitFolder(request);
  if (elsewhere !== undefined) await replaceByCopy(request, elsewhere);
  if ((await lstat(dotGit)).isDirectory())
    await tidyGitFolder({ ...request, gitDir: dotGit, bare: elsewhere === undefined });
}

/** Where the `.git` file or link leads, if that is outside the copy. */
async function findGitFolder(request: GitCopyRequest): Promise<string | undefined> {
  const dotGit = join(request.original, ".git");
  const stats = await lstat(dotGit);
  const text = stats.isSymbolicLink() ? undefined : await readFile(dotGit, "utf8");
  const named = text === undefined ? dotGit : /^gitdir: (.+)/.exec(text)?.[1];
  if (named === undefined) return undefined;
  const target = await realpath(resolve(request.original, named)).catch(() => undefined);
  if (target === undefined || !(await stat(target)).isDirectory()) return undefined;
  // Relative and inside the project: the copy holds it too, as for a submodule below the project.
  const copied = !isAbsolute(named) && stats.isFile() && holds(request.projectRoot, target);
  return copied ? undefined : target;
}

async function replaceByCopy(request: GitCopyRequest, gitDir: string): Promise<void> {
  const target = join(request.folder, `.git-${process.pid}-copy`);
  const common = await commonFolder(gitDir);
  await copyInto(common, target, request.signal);
  if (common !== gitDir) {
    await dropWorktreeState(target);
    await copyInto(gitDir, target, request.signal);
    for (const name of ["commondir", "gitdir", "locked"]) await rm(join(target, name), { force: true });
  }
  const dotGit = join(request.folder, ".git");
  await rm(dotGit);
  await rename(target, dotGit);
}

async function commonFolder(gitDir: string): Promise<string> {
  const text = await readFile(join(gitDir, "commondir"), "utf8").catch(() => undefined);
  return text === undefined ? gitDir : await realpath(resolve(gitDir, text.trim()));
}

/** Removes what belongs to the main worktree: its HEAD, index and a merge or rebase in progress. */
async function dropWorktreeState(gitDir: string): Promise<void> {
  const shared = new Set(["config", "packed-refs", "shallow", "description"]);
  const ownFolders = new Set(["worktrees", "rebase-merge", "rebase-apply", "sequencer"]);
  for (const entry of await readdir(gitDir, { withFileTypes: true })) {
    const drop = entry.isDirectory() ? ownFolders.has(entry.name) : !shared.has(entry.name);
    if (drop) await rm(join(gitDir, entry.name), { recursive: true });
  }
}

async function copyInto(from: string, to: string, signal: AbortSignal | undefined): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await mkdir(to, { recursive: true });
  await copyTree({ from, to, ...(signal === undefined ? {} : { signal }) });
}
