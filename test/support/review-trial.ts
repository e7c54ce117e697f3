import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createReviewer, type ReviewerOptions } from "../../server/src/review/local-reviewer.js";
import type { Reviewer } from "../../server/src/review/reviewer.js";
import { createLocalSandboxProvider } from "../../server/src/sandbox/local/local-provider.js";
import type { Sandbox } from "../../server/src/sandbox/sandbox-provider.js";

export const projectKinds = ["git", "dirty", "plain", "crlf"] as const;
export type ProjectKind = (typeof projectKinds)[number];

/** A project with a sandbox whose base is captured. */
export interface ReviewTrial {
  readonly home: string;
  readonly project: string;
  readonly sandbox: Sandbox;
  readonly workspace: string;
  readonly reviewer: Reviewer;
  [Symbol.dispose](): void;
}

export interface TrialOptions extends ReviewerOptions {
  readonly kind?: ProjectKind;
  readonly fill?: (project: string) => void;
}

export async function startReviewTrial({
  kind = "git",
  fill = fillProject,
  ...options
}: TrialOptions = {}): Promise<ReviewTrial> {
  const home = mkdtempSync(join(tmpdir(), "am-review-"));
  const project = join(home, "project");
  mkdirSync(project);
  fill(project);
  settleKind(project, kind);
  const sandboxes = createLocalSandboxProvider({ stateDir: join(home, "state") });
  const sandbox = await sandboxes.create({ sandboxId: "run", projectRoot: project });
  const reviewer = createReviewer(options);
  await reviewer.captureBase(sandbox);
  return {
    home,
    project,
    sandbox,
    workspace: sandbox.workspace,
    reviewer,
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  };
}

export const lines = (count: number, end = "\n"): string =>
  Array.from({ length: count }, (_, index) => `line ${index + 1}${end}`).join("");

export function fillProject(project: string): void {
  const put = (path: string, content: string | Buffer): void => writeFileSync(join(project, path), content);
  mkdirSync(join(project, "dir/deep"), { recursive: true });
  mkdirSync(join(project, "ignored"));
  put("a.txt", lines(30));
  put("crlf.txt", lines(10, "\r\n"));
  put("no-eol.txt", "one\ntwo");
  put("binary.dat", Buffer.from([0, 1, 2, 255, 10, 0, 13, 10]));
  put("run.sh", "#!/bin/sh\necho hello\n");
  chmodSync(join(project, "run.sh"), 0o755);
  symlinkSync("a.txt", join(project, "link"));
  put("dir/one", "one\n");
  put("dir/two", lines(12));
  put("dir/deep/three", "three\n");
  put("empty", "");
  put("sp ace.txt", "space\n");
  put("ünï.txt", "unicode\n");
  put('quo"te.txt', "quote\n");
  put("new\nline.txt", "newline\n");
  put("-dash.txt", "dash\n");
  put(".gitignore", "ignored/\n*.log\n");
  put("ignored/x", "x");
  put("debug.log", "log\n");
}

function settleKind(project: string, kind: ProjectKind): void {
  if (kind === "plain") return;
  if (kind === "crlf") {
    writeFileSync(join(project, ".gitattributes"), "*.txt text eol=crlf\nrun.sh filter=upper ident\n");
    writeFileSync(join(project, "a.txt"), lines(30, "\r\n"));
  }
  git(project, "init", "-q", "-b", "main");
  git(project, "add", "-A");
  git(project, "add", "-f", "debug.log"); // tracked although ignored
  git(project, "commit", "-q", "-m", "first");
  if (kind === "dirty") {
    writeFileSync(join(project, "a.txt"), `uncommitted\n${lines(30)}`);
    writeFileSync(join(project, "untracked.txt"), "untracked\n");
    writeFileSync(join(project, "dir/one"), "staged\n");
    git(project, "add", "dir/one");
    rmSync(join(project, "crlf.txt"));
    writeFileSync(join(project, "crlf.txt"), "replaced\r\n");
  }
}

export function git(cwd: string, ...args: readonly string[]): string {
  const identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
  return execFileSync("git", [...identity, ...args], { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/**
 * Every file and link below a folder with type, execute bit and content; `.git` and empty folders do not count.
 * Names and contents are bytes as latin1 text.
 */
export function readTree(folder: string): ReadonlyMap<string, string> {
  const tree = new Map<string, string>();
  const visit = (below: string): void => {
    const names = readdirSync(at(folder, below), { encoding: "latin1" });
    for (const name of names.sort().filter((one) => one !== ".git")) {
      const path = below === "" ? name : `${below}/${name}`;
      if (lstatSync(at(folder, path)).isDirectory()) visit(path);
      else tree.set(path, describeFile(at(folder, path)));
    }
  };
  visit("");
  return tree;
}

function describeFile(path: Buffer): string {
  const stats = lstatSync(path);
  if (stats.isSymbolicLink()) return `link ${readlinkSync(path, "latin1")}`;
  return stats.isFile() ? `${stats.mode & 0o100 ? "x" : "-"} ${readFileSync(path, "latin1")}` : "special";
}

function at(folder: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, "latin1")]);
}

/** Changes with any change below a folder, `.git` included. */
export function hashFolder(folder: string): string {
  const hash = createHash("sha256");
  for (const line of execFileSync("find", [folder, "-printf", "%P %y %m %s %T@ %l\\n"], { encoding: "latin1" })
    .split("\n")
    .sort()) {
    hash.update(line);
  }
  for (const [path, content] of readTree(folder)) hash.update(`${path}\0${content}\0`);
  return hash.digest("hex");
}

/** Makes a copy of a folder beside it. */
export function copyFolder(from: string, name: string): string {
  const to = join(from, "..", name);
  execFileSync("cp", ["-a", "--", from, to]);
  return to;
}
