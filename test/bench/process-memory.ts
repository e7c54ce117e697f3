import { readFile } from "node:fs/promises";

export interface ProcessMemory {
  readonly residentBytes: number;
  /** What no other process shares: what ending the process would give back. */
  readonly privateBytes: number;
}

/** Throws if the process is not there. */
export async function readMemory(pid: number): Promise<ProcessMemory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
  return {
    residentBytes: kilobytes("Rss") * 1_024,
    privateBytes: (kilobytes("Private_Clean") + kilobytes("Private_Dirty")) * 1_024,
  };
}
