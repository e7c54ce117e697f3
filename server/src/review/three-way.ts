import { randomUUID } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ApplyConflictKind } from "@agent-manager/sdk/proto";
import { type Entry, heldBytes, linkMode, sameVersion, type Version } from "./entry.js";
import type { Git } from "./git.js";

/** The three sides of one path: the base, the project as it is now, the run. Unset means absent. */
interface Sides {
  readonly base: Version | undefined;
  readonly ours: Version | undefined;
  readonly theirs: Version | undefined;
}

type Decision =
  | { readonly kind: "already" }
  | { readonly kind: "take" }
  /** Both changed a text file: its lines decide. */
  | { readonly kind: "merge"; readonly base: Version; readonly ours: Version; readonly theirs: Version }
  | { readonly kind: "conflict"; readonly conflict: ApplyConflictKind };

export function decidePath({ base, ours, theirs }: Sides): Decision {
  if (sameVersion(ours, theirs)) return { kind: "already" };
  if (sameVersion(ours, base)) return { kind: "take" };
  if (base === undefined) return conflict(ApplyConflictKind.BOTH_ADDED);
  if (ours === undefined || theirs === undefined) return conflict(ApplyConflictKind.DELETE_MODIFY);
  if (isLink(ours) !== isLink(base) || isLink(theirs) !== isLink(base)) return conflict(ApplyConflictKind.TYPE);
  if (isLink(base)) return conflict(ApplyConflictKind.BINARY);
  return { kind: "merge", base, ours, theirs };
}

/** The execute bit has two values, so two sides that changed it agree. */
export function mergeModes(base: number, ours: number, theirs: number): number {
  return ours === base ? theirs : ours;
}

type Merge = { readonly kind: "merged"; readonly content: Buffer } | { readonly kind: "conflict" | "binary" };

interface MergeRequest {
  readonly git: Git;
  readonly scratch: string;
  readonly base: Buffer;
  readonly ours: Buffer;
  readonly theirs: Buffer;
}

/** Merges line by line, byte for byte. */
export async function mergeTexts(request: MergeRequest): Promise<Merge> {
  const sides = [request.ours, request.base, request.theirs];
  if (sides.some(isBinary)) return { kind: "binary" };
  const folder = join(request.scratch, randomUUID());
  await mkdir(folder, { recursive: true });
  try {
    const files = ["ours", "base", "theirs"].map((name) => join(folder, name));
    for (const [index, file] of files.entries()) await writeFile(file, sides[index] ?? "");
    // The exit code counts the conflicts, up to 127; 255 is a failure.
    const merged = await request.git.run(["merge-file", "-p", "-q", ...files], { allowedCodes: (code) => code < 128 });
    return merged.code === 0 ? { kind: "merged", content: merged.stdout } : { kind: "conflict" };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The held content of the project's side. */
export function heldContent(entry: Entry): Buffer | undefined {
  return entry.kind === "file" && entry.content.kind === "held" ? entry.content.bytes : undefined;
}

/** Git's own rule; what is too large to hold is treated the same. */
function isBinary(content: Buffer): boolean {
  return content.length > heldBytes || content.subarray(0, 8000).includes(0);
}

function isLink(version: Version): boolean {
  return version.mode === linkMode;
}

function conflict(kind: ApplyConflictKind): Decision {
  return { kind: "conflict", conflict: kind };
}
