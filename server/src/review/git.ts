import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { DomainError } from "../domain/errors.js";

/** A private bare repository of one sandbox. The only place where review starts git. */
export interface Git {
  readonly gitDir: string;
  /** Runs a command to its end and gives its output. Throws unless it exits with 0 or an allowed code. */
  run(args: readonly string[], options?: GitRunOptions): Promise<GitOutput>;
  /** Starts a command that is talked to through pipes. */
  start(args: readonly string[]): ChildProcess;
}

interface GitRunOptions {
  /** Bytes, or an open file's descriptor. */
  readonly input?: Buffer | number;
  /** An open file's descriptor that takes the output instead of memory. */
  readonly output?: number;
  readonly indexFile?: string;
  /** Only ever a folder that we made ourselves; git must not look at a tree that an agent wrote. */
  readonly workTree?: string;
  readonly allowedCodes?: (code: number) => boolean;
  readonly signal?: AbortSignal;
  /** Gives up with kind "tooLarge" beyond this many bytes of output. */
  readonly limitBytes?: number;
}

interface GitOutput {
  readonly kind: "whole" | "tooLarge";
  readonly code: number;
  readonly stdout: Buffer;
}

export function openGit(gitDir: string): Git {
  return {
    gitDir,
    run: (args, options = {}) => run(gitDir, args, options),
    start: (args) => spawn("git", withSettings(args), { cwd: gitDir, env: environment(gitDir, {}), stdio: "pipe" }),
  };
}

function run(gitDir: string, args: readonly string[], options: GitRunOptions): Promise<GitOutput> {
  const spawnOptions: SpawnOptions = {
    cwd: options.workTree ?? gitDir,
    env: environment(gitDir, options),
    stdio: [typeof options.input === "number" ? options.input : "pipe", options.output ?? "pipe", "pipe"],
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
  const child = spawn("git", withSettings(args), spawnOptions);
  return collect(child, args, options);
}

function collect(child: ChildProcess, args: readonly string[], options: GitRunOptions): Promise<GitOutput> {
  const limit = options.limitBytes ?? Number.POSITIVE_INFINITY;
  const out: Buffer[] = [];
  let size = 0;
  let complaint = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= limit) out.push(chunk);
    else child.kill("SIGKILL");
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString("utf8")).slice(0, 2000);
  });
  child.stdin?.on("error", () => undefined); // git left early; its exit code says why
  if (child.stdin !== null) child.stdin.end(Buffer.isBuffer(options.input) ? options.input : undefined);
  return new Promise((resolve, reject) => {
    child.on("error", (cause) => reject(options.signal?.aborted ? cause : gitFailed(args, cause.message, cause)));
    child.on("close", (code) => {
      if (size > limit) resolve({ kind: "tooLarge", code: code ?? -1, stdout: Buffer.alloc(0) });
      else if (code === 0 || (code !== null && options.allowedCodes?.(code)))
        resolve({ kind: "whole", code, stdout: Buffer.concat(out) });
      else reject(gitFailed(args, complaint.trim() || `git ended with ${code ?? "a signal"}`));
    });
  });
}

/** The failure of a git command, with git's own words. */
export function gitFailed(args: readonly string[], problem: string, cause?: unknown): DomainError {
  if (/No space left on device|Disk quota exceeded/.test(problem)) return new DomainError("DISK_FULL");
  const values = { operation: `run git ${args[0] ?? ""}`, problem };
  return new DomainError("SANDBOX_FAILED", values, cause === undefined ? {} : { cause });
}

function withSettings(args: readonly string[]): readonly string[] {
  const settings = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.compression=1",
    // Names that only other file systems mind are shown in the diff and refused when they would be applied.
    "core.protectNTFS=false",
    "core.protectHFS=false",
    "core.fsync=committed",
    // Larger blobs are streamed to the store, not held in memory.
    "core.bigFileThreshold=32m",
    "gc.auto=0",
    "protocol.allow=never",
    "diff.ignoreSubmodules=all",
  ];
  return [...settings.flatMap((setting) => ["-c", setting]), ...args];
}

/** Built from nothing: neither the server's environment nor anybody's configuration takes part. */
function environment(gitDir: string, options: GitRunOptions): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH ?? "/usr/bin:/bin",
    HOME: "/nonexistent",
    LC_ALL: "C",
    GIT_DIR: gitDir,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_NO_REPLACE_OBJECTS: "1",
    ...(options.indexFile === undefined ? {} : { GIT_INDEX_FILE: options.indexFile }),
    ...(options.workTree === undefined ? {} : { GIT_WORK_TREE: options.workTree }),
  };
}
