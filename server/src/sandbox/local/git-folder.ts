import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { isAbsolute, join, relative, resolve } from "node:path";
import { copyTree } from "./copy-tree.js";
import { holds } from "./project-root.js";

interface GitFolderRequest {
  readonly gitDir: string;
  readonly original: string;
  readonly projectRoot: string;
  readonly workspace: string;
  /** False if it came from a linked worktree, whose repository may be a bare one. */
  readonly bare: boolean;
  readonly signal?: AbortSignal;
}

/** Cuts what in a copied `.git` folder still leads to the original, and drops locks of commands in progress. */
export async function tidyGitFolder(request: GitFolderRequest): Promise<void> {
  const { gitDir } = request;
  // The linked worktrees belong to the original: `git worktree remove` here would delete them.
  await rm(join(gitDir, "worktrees"), { recursive: true, force: true });
  for (const name of ["index", "HEAD", "config", "packed-refs", "shallow"]) {
    await rm(join(gitDir, `${name}.lock`), { force: true });
  }
  for (const folder of [gitDir, join(gitDir, "objects")]) await replaceOutwardLinks(folder, request);
  await makeAlternatesAbsolute(request);
  for (const config of await configFiles(gitDir)) await relocateWorktree(config, request);
  if (!request.bare) await gitConfig(["--file", join(gitDir, "config"), "core.bare", "false"]);
}

async function replaceOutwardLinks(folder: string, request: GitFolderRequest): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isSymbolicLink()) continue;
    const path = join(folder, entry.name);
    const target = await realpath(path).catch(() => undefined);
    if (target === undefined || holds(request.workspace, target)) continue;
    await rm(path);
    if ((await stat(target)).isDirectory()) {
      await mkdir(path);
      await copyTree({ from: target, to: path, ...(request.signal === undefined ? {} : { signal: request.signal }) });
    } else {
      await copyFile(target, path);
    }
  }
}

/** Borrowed objects are only read; relative paths to them would break in the copy. */
async function makeAlternatesAbsolute(request: GitFolderRequest): Promise<void> {
  const path = join(request.gitDir, "objects/info/alternates");
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const objects = join(request.original, ".git/objects");
  const lines = text.split("\n").map((line) => (line === "" || isAbsolute(line) ? line : resolve(objects, line)));
  await writeFile(path, lines.join("\n"));
}

/** The configuration files of the repository and of the submodules that it keeps. */
async function configFiles(gitDir: string): Promise<readonly string[]> {
  const found: string[] = [];
  const visit = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      const path = join(folder, entry.name);
      if (entry.isFile() && /^config(\.worktree)?$/.test(entry.name)) found.push(path);
      // Submodule names may hold slashes, hence the search below modules/ instead of one level.
      else if (entry.isDirectory() && (depth > 0 || entry.name === "modules") && entry.name !== "objects") {
        await visit(path, depth + 1);
      }
    }
  };
  await visit(gitDir, 0);
  return found;
}

/** An absolute core.worktree would make git work in the original's files. */
async function relocateWorktree(config: string, request: GitFolderRequest): Promise<void> {
  const worktree = await gitConfig(["--file", config, "--get", "core.worktree"]);
  if (worktree === undefined) return;
  const place = resolve(join(config, ".."), worktree);
  if (!isAbsolute(worktree) && holds(request.workspace, place)) return;
  if (isAbsolute(worktree) && holds(request.projectRoot, worktree)) {
    const copied = join(request.workspace, relative(request.projectRoot, worktree));
    await gitConfig(["--file", config, "--replace-all", "core.worktree", copied]);
  } else {
    await gitConfig(["--file", config, "--unset-all", "core.worktree"]);
  }
}

/** Reads or changes one named file and nothing else: no includes, no system or user configuration. */
function gitConfig(args: readonly string[]): Promise<string | undefined> {
  const env = {
    PATH: process.env.PATH ?? "/usr/bin:/bin",
    HOME: "/nonexistent",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CEILING_DIRECTORIES: "/",
  };
  return new Promise((resolveText) => {
    execFile("git", ["config", "--no-includes", ...args], { env, cwd: "/" }, (error, stdout) => {
      resolveText(error === null ? stdout.trim() : undefined);
    });
  });
}
