import { readFile } from "node:fs/promises";
import { join } from "node:path";

export type OutputStream = "stdout" | "stderr";

/** What an agent itself noted, before it printed anything: see test/fixtures/agents/ledger-agent.mjs. */
export interface Ledger {
  /** How often the agent was started for this run. */
  readonly starts: number;
  /** How often it got its prompt. */
  readonly prompts: number;
  /** The hashes of its lines in order. */
  readonly lines: Readonly<Record<OutputStream, readonly string[]>>;
}

/** Reads a run's ledger; an agent that never ran has an empty one. */
export async function readLedger(folder: string, runId: string): Promise<Ledger> {
  const text = await readFile(join(folder, runId), "utf8").catch(() => "");
  const entries = text
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split(" "));
  const linesOf = (stream: OutputStream) =>
    entries.flatMap(([kind, , hash, on]) => (kind === "line" && on === stream && hash ? [hash] : []));
  return {
    starts: entries.filter(([kind]) => kind === "start").length,
    prompts: entries.filter(([kind]) => kind === "prompt").length,
    lines: { stdout: linesOf("stdout"), stderr: linesOf("stderr") },
  };
}
