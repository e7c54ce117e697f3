import type { RunHandle } from "@agent-manager/sdk";
import { EventKind } from "@agent-manager/sdk/proto";
import type { TestServer } from "../support/server.js";

const LABEL = { bench: "idle" };

export interface IdleRuns {
  readonly count: number;
  readonly prompt: string;
  readonly projectRoot: string;
}

/** Starts runs and waits until the agent of each has spoken. */
export async function startIdleRuns({ am }: TestServer, options: IdleRuns): Promise<readonly RunHandle[]> {
  const { count, prompt, projectRoot } = options;
  const runs = await Promise.all(
    Array.from({ length: count }, () => am.runs.start({ task: { prompt, projectRoot }, labels: LABEL })),
  );
  await Promise.all(runs.map(hasSpoken));
  return runs;
}

/** Ends every idle run; returns how many ended as stopped. */
export async function stopIdleRuns({ am }: TestServer): Promise<number> {
  const ids = await am.runs.stop({ labels: LABEL });
  const results = await Promise.all(ids.map(async (id) => (await am.runs.get(id)).wait()));
  return results.filter(({ kind }) => kind === "stopped").length;
}

async function hasSpoken(run: RunHandle): Promise<void> {
  for await (const _ of run.events({ kinds: [EventKind.SESSION_BOUND] })) return;
  throw new Error(`run ${run.id} ended before its agent spoke: ${(await run.refresh()).stateReason}`);
}
