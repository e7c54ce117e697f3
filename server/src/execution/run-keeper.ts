import { setTimeout as sleep } from "node:timers/promises";
import { RunConfigSchema } from "@agent-manager/sdk/proto";
import { isTerminal } from "../domain/run-state.js";
import { messageFromJson } from "../store/json.js";
import { deleteOldRequests } from "../store/requests.js";
import { findRun, type RunWithLog } from "../store/runs.js";
import type { ExecutionContext } from "./execution-context.js";
import { removeRunFolder, runFolder } from "./run-folder.js";

const SWEEP_MS = 60_000;
const KEEP_REQUESTS_DAYS = 7;

/** Removes what runs that ended long enough ago left on this host: sandboxes, spools, answers kept for replay. */
export class RunKeeper {
  #loop: Promise<void> = Promise.resolve();

  constructor(readonly context: ExecutionContext) {}

  start(): void {
    this.#loop = this.#run();
  }

  /** Call after the context's signal was aborted. */
  close(): Promise<void> {
    return this.#loop;
  }

  /** Removes one run's sandbox and spool now. */
  async remove(runId: string): Promise<void> {
    await this.context.sandboxes.destroy(runId);
    await removeRunFolder(runFolder(this.context.dataDir, runId));
  }

  async #run(): Promise<void> {
    const { signal, log } = this.context;
    while (!signal.aborted) {
      await this.#sweep().catch((error: unknown) => log.warn({ err: error }, "old sandboxes could not be removed"));
      await sleep(SWEEP_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #sweep(): Promise<void> {
    const { sandboxes, db, signal } = this.context;
    for (const sandboxId of await sandboxes.list()) {
      if (signal.aborted) return;
      const run = await findRun(db, sandboxId);
      // a sandbox without a run is not proof that it is ours to remove: the database may be another one
      if (run && isTerminal(run.state) && isPastRetention(run)) await this.remove(sandboxId);
    }
    await deleteOldRequests(db, KEEP_REQUESTS_DAYS);
  }
}

function isPastRetention(run: RunWithLog): boolean {
  const retentionMs = messageFromJson(RunConfigSchema, run.config).sandbox?.retentionMs ?? 0;
  return run.end_time !== null && Date.now() - run.end_time.getTime() > retentionMs;
}
