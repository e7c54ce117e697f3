import { setTimeout as sleep } from "node:timers/promises";
import { RunConfigSchema } from "@agent-manager/sdk/proto";
import { isTerminal } from "../domain/run-state.js";
import type { SandboxProvider } from "../sandbox/sandbox-provider.js";
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

  get #sandboxes(): SandboxProvider {
    return this.context.sandboxesIn(this.context.dataDir);
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Call after the context's signal was aborted. */
  close(): Promise<void> {
    return this.#loop;
  }

  async #remove(runId: string): Promise<void> {
    await this.#sandboxes.destroy(runId);
    await removeRunFolder(runFolder(this.context.dataDir, runId));
  }

  async #run(): Promise<void> {
    const { signal, log } = this.context;
    await this.#recoverApplies().catch((error: unknown) =>
      log.error({ err: error }, "an apply could not be recovered"),
    );
    while (!signal.aborted) {
      await this.#sweep().catch((error: unknown) => log.warn({ err: error }, "old sandboxes could not be removed"));
      await sleep(SWEEP_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** An apply that a crash cut off is finished or rolled back before anybody looks at the project. */
  async #recoverApplies(): Promise<void> {
    for (const sandboxId of await this.#sandboxes.list()) {
      const sandbox = await this.#sandboxes.open(sandboxId);
      if (sandbox) await this.context.reviewer.recover(sandbox);
    }
  }

  async #sweep(): Promise<void> {
    const { db, signal } = this.context;
    for (const sandboxId of await this.#sandboxes.list()) {
      if (signal.aborted) return;
      const run = await findRun(db, sandboxId);
      // a sandbox without a run is not proof that it is ours to remove: the database may be another one
      if (run && isTerminal(run.state) && isPastRetention(run)) await this.#remove(sandboxId);
    }
    await deleteOldRequests(db, KEEP_REQUESTS_DAYS);
  }
}

function isPastRetention(run: RunWithLog): boolean {
  const retentionMs = messageFromJson(RunConfigSchema, run.config).sandbox?.retentionMs ?? 0;
  return run.end_time !== null && Date.now() - run.end_time.getTime() > retentionMs;
}
