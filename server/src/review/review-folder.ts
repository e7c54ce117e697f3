import { join } from "node:path";
import { type Git, openGit } from "./git.js";

/** The private places of one sandbox's review. */
export interface ReviewFolder {
  readonly git: Git;
  readonly baseIndex: string;
  readonly manifest: string;
  /** Written last when the base is captured. */
  readonly base: string;
  readonly journal: string;
  /** What was applied last. */
  readonly applied: string;
  /** For files that do not outlive a call. */
  readonly scratch: string;
}

export function reviewFolder(reviewDir: string): ReviewFolder {
  return {
    git: openGit(join(reviewDir, "git")),
    baseIndex: join(reviewDir, "base.index"),
    manifest: join(reviewDir, "manifest.jsonl"),
    base: join(reviewDir, "base.json"),
    journal: join(reviewDir, "journal.json"),
    applied: join(reviewDir, "applied.json"),
    scratch: join(reviewDir, "scratch"),
  };
}
