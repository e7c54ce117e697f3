import { DomainError } from "../domain/errors.js";
import { decideStop } from "../domain/run-state.js";
import type { RunWithLog } from "../store/runs.js";
import type { Executor } from "./executor.js";
import { type RunChangeDecision, type RunChanges, situation } from "./run-changes.js";

export interface StopRequest {
  readonly runId: string;
  readonly actor: string;
  /** Why, for people. */
  readonly comment: string;
}

/**
 * Asks a run to stop and returns it. The request is stored before the agent hears of it, so that it also holds
 * when the server is restarted in between, or when the run belongs to another server.
 */
export async function stopRun(
  { runId, actor, comment }: StopRequest,
  { changes, executor }: { readonly changes: RunChanges; readonly executor: Executor },
): Promise<RunWithLog> {
  const reason = comment === "" ? `stop requested by ${actor}` : `stop requested by ${actor}: ${comment}`;
  const run = await changes.change(runId, (current): RunChangeDecision | undefined => {
    const decision = decideStop(situation(current), reason);
    if (decision.kind === "transition") return { transition: decision.transition, actor };
    if (current.stop_time) return undefined; // asking twice is the same as asking once
    const transition = { from: current.state, to: current.state, reason };
    return { transition, actor, set: { stop_time: new Date() } };
  });
  if (!run) throw new DomainError("RUN_NOT_FOUND", { run_id: runId });
  executor.stop(runId);
  return run;
}

/** The same for a run that may have ended in between, and then needs no stop. */
export async function stopIfStoppable(...args: Parameters<typeof stopRun>): Promise<void> {
  try {
    await stopRun(...args);
  } catch (error) {
    if (!(error instanceof DomainError) || error.reason !== "RUN_NOT_STOPPABLE") throw error;
  }
}
