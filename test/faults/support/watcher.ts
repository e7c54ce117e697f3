import type { AgentManager } from "@agent-manager/sdk";
import { PromiseBroken } from "./oracle.js";

/** Follows a run to its end through the SDK and returns the sequences in the order in which they were delivered. */
export async function watchRun(
  am: AgentManager,
  runId: string,
  onEvent: (sequence: number) => void = () => {},
): Promise<readonly number[]> {
  const sequences: number[] = [];
  const run = await am.runs.get(runId);
  for await (const { sequence } of run.events({ giveUpAfterMs: 300_000, heartbeatIntervalMs: 1_000 })) {
    sequences.push(Number(sequence));
    onEvent(Number(sequence));
  }
  return sequences;
}

/** Throws PromiseBroken unless every event of the run was delivered once and in order. */
export function checkDelivery(sequences: readonly number[], events: number): void {
  const wrong = sequences.findIndex((sequence, index) => sequence !== index + 1);
  if (wrong === -1 && sequences.length === events) return;
  const found = sequences.slice(Math.max(0, wrong - 2), wrong + 3).join(", ");
  throw new PromiseBroken([`a watcher got ${sequences.length} of ${events} events; around the first wrong: ${found}`]);
}
