import { EventSource, RunOutcome, type RunState } from "@agent-manager/sdk/proto";
import { isTerminal, type Transition, taskStateAfter } from "../domain/run-state.js";
import { failpoint } from "../failpoint.js";
import { encodeEvent, type NewEvent } from "../log/event-encoding.js";
import type { LogHub } from "../log/log-hub.js";
import { placeEvents } from "../log/log-writer.js";
import { readRunLog } from "../store/run-events.js";
import { changeRun, findRun, type RunWithLog } from "../store/runs.js";
import type { Db, RunUpdate } from "../store/schema.js";

export interface RunChangeDecision {
  readonly transition?: Transition;
  /** Who asked for the transition; default: the manager itself. */
  readonly actor?: string;
  readonly set?: RunUpdate;
  /** Events that belong to the change; they come before that of the transition. */
  readonly events?: readonly NewEvent[];
}

export interface RunChangesOptions {
  readonly db: Db;
  readonly hub: LogHub;
}

/** Changes runs: decide on what is stored, store it with its events if nobody was first, else decide again. */
export class RunChanges {
  constructor(readonly options: RunChangesOptions) {}

  /**
   * Returns the run after the change; undefined if there is no such run. `decide` returns undefined to leave it
   * as it is, and throws what the caller is to be told.
   */
  async change(
    runId: string,
    decide: (run: RunWithLog) => RunChangeDecision | undefined,
    epoch: bigint | null = null,
  ): Promise<RunWithLog | undefined> {
    for (;;) {
      const run = await findRun(this.options.db, runId);
      const decision = run && decide(run);
      if (!run || !decision) return run;
      if (await this.#store(run, decision, epoch)) return findRun(this.options.db, runId);
      if (epoch !== null) await this.#checkEpoch(runId, epoch);
    }
  }

  async #checkEpoch(runId: string, epoch: bigint): Promise<void> {
    const log = await readRunLog(this.options.db, runId);
    if (log?.epoch !== epoch) throw new FencedError(runId);
  }

  async #store(run: RunWithLog, decision: RunChangeDecision, epoch: bigint | null): Promise<boolean> {
    const transition = decision.transition && transitionEvent(decision.transition, decision.actor);
    const events = [...(decision.events ?? []), ...(transition ? [transition] : [])].map(encodeEvent);
    const set = { ...decision.set, ...(decision.transition && transitionColumns(decision.transition)) };
    const taskState = decision.transition && taskStateAfter(decision.transition.to);
    const change = { runId: run.run_id, version: run.version, set, taskState, events, epoch };
    const row = await changeRun(this.options.db, change);
    failpoint("change.committed");
    if (row) this.options.hub.publish(run.run_id, placeEvents(events, row));
    return row !== undefined;
  }
}

function transitionEvent({ from, to, reason, outcome }: Transition, actor: string | undefined): NewEvent {
  const value = { from, to, reason, outcome: outcome ?? RunOutcome.UNSPECIFIED, actor: actor ?? "" };
  return {
    occurTimeMs: Date.now(),
    source: actor === undefined ? EventSource.MANAGER : EventSource.HUMAN,
    event: { case: "runStateChanged", value },
  };
}

function transitionColumns({ to, reason, outcome }: Transition): RunUpdate {
  return {
    state: to,
    state_reason: reason,
    ...(outcome !== undefined && { outcome }),
    ...(isTerminal(to) && { end_time: new Date() }),
  };
}

/** Another server has taken the run over: whatever this one wanted to do with it, it no longer may. */
export class FencedError extends Error {
  override readonly name = "FencedError";

  constructor(runId: string) {
    super(`run ${runId} is looked after by another server`);
  }
}

/** The run as decisions need it. */
export function situation(run: RunWithLog): { runId: string; state: RunState; outcome: RunOutcome } {
  return { runId: run.run_id, state: run.state, outcome: run.outcome };
}
