import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { type BytePath, toBytes } from "./byte-path.js";
import { openEntry } from "./entry.js";
import type { Git } from "./git.js";
import type { WalkedFile } from "./walk.js";

interface IgnoreRequest {
  readonly git: Git;
  readonly workspace: string;
  /** A folder of ours that is filled with copies of the .gitignore files. */
  readonly shadow: string;
  readonly files: readonly WalkedFile[];
  readonly candidates: readonly BytePath[];
  readonly signal?: AbortSignal;
}

/**
 * Which of the candidates .gitignore leaves out. Git is asked over a shadow of the tree that holds nothing but the
 * .gitignore files, so it never opens anything that the agent wrote: a pipe named .gitignore would hang it.
 */
export async function findIgnored(request: IgnoreRequest): Promise<ReadonlySet<BytePath>> {
  if (request.candidates.length === 0) return new Set();
  await fillShadow(request);
  // "./" keeps a name such as ":(top)x" from being read as pathspec magic.
  const input = Buffer.concat(request.candidates.map((path) => toBytes(`./${path}\0`)));
  const { stdout } = await request.git.run(["check-ignore", "--no-index", "-z", "--stdin"], {
    input,
    workTree: request.shadow,
    allowedCodes: (code) => code === 1, // none is ignored
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  const names = stdout.toString("latin1").split("\0");
  return new Set(names.filter((name) => name !== "").map((name) => name.slice(2)));
}

async function fillShadow({ shadow, workspace, files }: IgnoreRequest): Promise<void> {
  await rm(shadow, { recursive: true, force: true });
  await mkdir(shadow, { recursive: true });
  for (const { path, stats } of files) {
    if (!isRuleFile(path) || !stats.isFile() || stats.size > 1_000_000n) continue;
    const rules = await openEntry({ root: workspace, path }, (file) => file.readFile()).catch(() => undefined);
    if (rules === undefined) continue;
    const folder = Buffer.concat([Buffer.from(`${shadow}/`), toBytes(path.slice(0, -".gitignore".length))]);
    await mkdir(folder, { recursive: true });
    await writeFile(Buffer.concat([folder, Buffer.from(".gitignore")]), rules);
  }
}

function isRuleFile(path: BytePath): boolean {
  return path === ".gitignore" || path.endsWith("/.gitignore");
}

/**
 * The rules that hold for the project without lying in its tree: the repository's info/exclude and, for a project
 * that is a folder inside a repository, what the .gitignore files above it say about it.
 */
export async function outerRules(projectRoot: string, workspace: string): Promise<string> {
  const own = await readFile(join(workspace, ".git/info/exclude"), "utf8").catch(() => undefined);
  const inherited = (await isThere(join(projectRoot, ".git"))) ? [] : await rulesAbove(projectRoot);
  return [...inherited, own ?? ""].join("\n");
}

async function rulesAbove(projectRoot: string): Promise<readonly string[]> {
  const rules: string[][] = [];
  for (
    let folder = dirname(projectRoot), last = projectRoot;
    folder !== last;
    last = folder, folder = dirname(folder)
  ) {
    const text = await readFile(join(folder, ".gitignore"), "utf8").catch(() => "");
    const prefix = relative(folder, projectRoot);
    rules.unshift(text.split("\n").flatMap((line) => translateRule(line, prefix)));
    if (await isThere(join(folder, ".git"))) return rules.flat();
  }
  return []; // no repository around: those files mean nothing here
}

/** A rule of a folder above, as seen from below `prefix`; none if it is about something else. */
export function translateRule(line: string, prefix: string): readonly string[] {
  const [, not = "", pattern = ""] = /^(!?)(.*)$/.exec(line.replace(/\r$/, "")) ?? [];
  if (pattern.trim() === "" || pattern.startsWith("#")) return [];
  const anchored = pattern.replace(/\/\s*$/, "").includes("/");
  if (!anchored || pattern.startsWith("**/")) return [`${not}${pattern}`];
  const rest = pattern.replace(/^\//, "");
  return rest.startsWith(`${prefix}/`) ? [`${not}/${rest.slice(prefix.length + 1)}`] : [];
}

function isThere(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    (error: unknown) => error instanceof Error && "code" in error && error.code === "EISDIR",
  );
}
