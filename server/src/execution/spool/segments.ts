import { readdirSync } from "node:fs";
import { join } from "node:path";

/** A spool is a folder of segments, each named by the offset of its first byte in the whole spool. */
export interface Segment {
  readonly path: string;
  readonly start: number;
}

export function segmentPath(folder: string, start: number): string {
  return join(folder, `${String(start).padStart(16, "0")}.seg`);
}

/** The segments in order; none if the folder is missing. */
export function listSegments(folder: string): readonly Segment[] {
  return names(folder)
    .filter((name) => /^\d{16}\.seg$/.test(name))
    .sort()
    .map((name) => ({ path: join(folder, name), start: Number(name.slice(0, 16)) }));
}

function names(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
