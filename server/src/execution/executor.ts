import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorClass, EventSource, RunOutcome, RunState } from "@agent-manager/sdk/proto";
import { decideEnd, isActive } from "../domain/run-state.js";
import { failpoint } from "../failpoint.js";
import { raiseEpoch } from "../store/run-events.js";
import { findOwnedRuns, findQueuedRuns, type RunWithLog } from "../store/runs.js";
import { findAbandonedRuns } from "../store/servers.js";
import type { ExecutionContext } from "./execution-context.js";
import { sweepOrphans } from "./orphan-sweep.js";
import { retryWhileUnavailable } from "./retry.js";
import { FencedError, situation } from "./run-changes.js";
import { RunExecution } from "./run-execution.js";
import { ServerLease } from "./server-lease.js";
import { readBootId } from "./supervisor/processes.js";

/** How often the queue and the requests to stop are looked at without being poked. */
const POLL_MS = 1_000;
const CLAIM_AT_ONCE = 32;
/** The version of a run that nobody has announced yet. */
const UNANNOUNCED = 1n;

/** Looks after the runs of this host: takes them from the queue, goes on with those that a restart left. */
export class Executor {
  readonly #executions = new Map<string, { readonly execution: RunExecution; readonly done: Promise<void> }>();
  #poked = false;
  #wake: (() => void) | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(readonly context: ExecutionContext) {}

  /** How many runs are at work. */
  get activeRuns(): number {
    return this.#executions.size;
  }

  start(): void {
    this.#loop = this.#run().catch((error: unknown) => {
      if (!this.context.signal.aborted) this.context.log.fatal({ err: error }, "the queue is no longer looked at");
    });
  }

  /** The queue has changed. */
  poke(): void {
    this.#poked = true;
    this.#wake?.();
  }

  /** Ends the agent of a run of this server; does nothing for others, whose server sees the stored request. */
  stop(runId: string): void {
    this.#executions.get(runId)?.execution.stop("stop");
  }

  /** Resolves once nothing touches the database any more. Call after the context's signal was aborted. */
  async close(): Promise<void> {
    this.#wake?.();
    await this.#loop;
    await Promise.all([...this.#executions.values()].map(({ done }) => done));
  }

  async #run(): Promise<void> {
    const { db, serverId, leaseTtlMs: ttlMs, signal } = this.context;
    await new ServerLease({ db, serverId, ttlMs, signal }).start();
    const owned = await retryWhileUnavailable(() => findOwnedRuns(db, serverId), signal);
    for (const run of owned) this.#execute(run);
    void sweepOrphans(this.context).catch((error: unknown) => {
      this.context.log.warn({ err: error }, "processes of runs that are over could not be looked for");
    });
    while (!signal.aborted) {
      this.#poked = false;
      await retryWhileUnavailable(() => this.#admit(), signal);
      await retryWhileUnavailable(() => this.#checkOwned(), signal);
      await retryWhileUnavailable(() => this.#takeOverAbandoned(), signal);
      await this.#wait();
    }
  }

  async #admit(): Promise<void> {
    for (const run of await findQueuedRuns(this.context.db, CLAIM_AT_ONCE)) {
      const free = this.#executions.size < this.context.maxActiveRuns;
      if (run.version === UNANNOUNCED) await this.#announce(run.run_id, free);
      if (free) await this.#claim(run.run_id);
    }
  }

  async #announce(runId: string, free: boolean): Promise<void> {
    const { maxActiveRuns, changes } = this.context;
    const reason = free ? "" : `waits for one of ${maxActiveRuns} places for active runs`;
    await changes.change(runId, (run) =>
      run.version !== UNANNOUNCED
        ? undefined
        : { transition: { from: RunState.UNSPECIFIED, to: RunState.QUEUED, reason } },
    );
  }

  async #claim(runId: string): Promise<void> {
    const { changes, serverId, dataDir } = this.context;
    let claimed = false;
    const run = await changes.change(runId, ({ state }) => {
      claimed = state === RunState.QUEUED; // decided again when someone else was first
      if (!claimed) return undefined;
      return {
        transition: { from: state, to: RunState.STARTING, reason: "" },
        set: { owner_id: serverId, data_dir: dataDir },
      };
    });
    failpoint("executor.claimed");
    if (claimed && run) this.#execute(run);
  }

  #execute(run: RunWithLog): void {
    const execution = new RunExecution(run, this.context);
    const done = execution
      .execute()
      .catch((error: unknown) => this.#giveUp(execution, error))
      .catch((error: unknown) =>
        this.context.log.error({ err: error, run_id: run.run_id }, "a run was left unfinished"),
      )
      .finally(() => {
        this.#executions.delete(run.run_id);
        this.poke();
      });
    this.#executions.set(run.run_id, { execution, done });
  }

  /** An error of ours must not leave a run that looks alive. */
  async #giveUp(execution: RunExecution, error: unknown): Promise<void> {
    const { signal, log, changes } = this.context;
    if (execution.left || error instanceof FencedError) return;
    const runId = execution.run.run_id;
    log.error({ err: error, run_id: runId }, "a run failed inside the server");
    execution.stop("stop");
    const text = "the run failed inside the server; its log has the details under this run's id";
    const value = { class: ErrorClass.INTERNAL, code: "internal", text };
    await retryWhileUnavailable(
      () =>
        changes.change(runId, (run) =>
          !isActive(run.state)
            ? undefined
            : {
                transition: decideEnd(situation(run), RunOutcome.RUNNER_ERROR, 0, text),
                events: [{ occurTimeMs: Date.now(), source: EventSource.MANAGER, event: { case: "error", value } }],
              },
        ),
      signal,
    );
  }

  /**
   * A stop may have been asked of another server; a run may have been taken over while this one was paused; and a
   * run whose claim was committed without our hearing so is ours with nobody at it.
   */
  async #checkOwned(): Promise<void> {
    const looked = new Map(this.#executions);
    const owned = new Map(
      (await findOwnedRuns(this.context.db, this.context.serverId)).map((run) => [run.run_id, run]),
    );
    for (const [runId, { execution }] of looked) {
      const run = owned.get(runId);
      if (!run) execution.leave();
      else if (run.stop_time) execution.stop("stop");
    }
    for (const [runId, run] of owned) if (!looked.has(runId)) this.#execute(run);
  }

  async #takeOverAbandoned(): Promise<void> {
    const { db, serverId, hostLostMs } = this.context;
    for (const { run, bootId, expiredMs } of await findAbandonedRuns(db)) {
      if (run.owner_id === serverId) continue; // our own lease: it was renewed too late, and still nobody came
      if (bootId === readBootId() && (await isReachable(run))) await this.#takeOver(run);
      else if (expiredMs > hostLostMs) await this.#giveUpHost(run);
    }
  }

  /** The agent is on this host: go on where the other server stopped. */
  async #takeOver({ run_id: runId, owner_id: ownerId }: RunWithLog): Promise<void> {
    const { changes, serverId } = this.context;
    let taken = false;
    const run = await changes.change(runId, (current) => {
      taken = current.owner_id === ownerId && isActive(current.state);
      if (!taken) return undefined;
      const text = "the server that looked after this run no longer answers; another one goes on with it";
      const value = { code: "owner_changed", text };
      const event = {
        occurTimeMs: Date.now(),
        source: EventSource.MANAGER,
        event: { case: "warning" as const, value },
      };
      return { set: { owner_id: serverId }, events: [event] };
    });
    if (taken && run) this.#execute(run);
  }

  /** The agent's host is gone as far as anyone can tell. The epoch keeps a server that comes back from going on. */
  async #giveUpHost({ run_id: runId, owner_id: ownerId }: RunWithLog): Promise<void> {
    await raiseEpoch(this.context.db, runId);
    const reason = "the host of the run's agent no longer answers; everything up to then is kept";
    await this.context.changes.change(runId, (current) =>
      current.owner_id === ownerId && isActive(current.state)
        ? { transition: decideEnd(situation(current), RunOutcome.LOST, 0, reason) }
        : undefined,
    );
  }

  async #wait(): Promise<void> {
    if (this.#poked || this.context.signal.aborted) return;
    const poke = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const timer = new AbortController();
    await Promise.race([poke, sleep(POLL_MS, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
    this.#wake = undefined;
  }
}

async function isReachable(run: RunWithLog): Promise<boolean> {
  return access(run.data_dir, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
}
