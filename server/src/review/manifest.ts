import type { BigIntStats } from "node:fs";
import { readFile } from "node:fs/promises";
import type { BytePath } from "./byte-path.js";
import { modeOf, type Version } from "./entry.js";

/** A file as it was when the base was captured. */
export interface ManifestEntry {
  readonly path: BytePath;
  readonly stamp: string;
  /** Unset for files that are left out of change sets: ignored ones, and those of nested repositories. */
  readonly version: Version | undefined;
}

export type Manifest = ReadonlyMap<BytePath, ManifestEntry>;

/** Changes with every write to the file, except those within the clock's grain (see `mayHide`). */
export function stampOf(stats: BigIntStats): string {
  return `${stats.mode} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs} ${stats.ino}`;
}

/**
 * True if a later write could have left the stamp as it is: file times move with the kernel's tick (4 to 10 ms),
 * so what was written just before the capture has to be read again.
 */
export function mayHide(entry: ManifestEntry, capturedMs: number): boolean {
  const changed = Number(BigInt(entry.stamp.split(" ")[3] ?? "0") / 1_000_000n);
  return changed >= capturedMs - 50;
}

export function sizeOf(entry: ManifestEntry): number {
  return Number(entry.stamp.split(" ")[1] ?? "0");
}

export function entryFor(path: BytePath, stats: BigIntStats, id: string | undefined): ManifestEntry {
  return { path, stamp: stampOf(stats), version: id === undefined ? undefined : { mode: modeOf(stats), id } };
}

/** One JSON line per file. */
export function encodeManifest(entries: readonly ManifestEntry[]): string {
  return entries
    .map(({ path, stamp, version }) => JSON.stringify([path, stamp, version?.mode, version?.id]))
    .join("\n");
}

export async function readManifest(file: string): Promise<Manifest> {
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line !== "");
  return new Map(lines.map(decodeLine).map((entry) => [entry.path, entry]));
}

function decodeLine(line: string): ManifestEntry {
  // The file lies in our own state folder and was written by encodeManifest.
  const [path, stamp, mode, id] = JSON.parse(line) as [string, string, number | null, string | null];
  return { path, stamp, version: mode === null || id === null ? undefined : { mode, id } };
}
