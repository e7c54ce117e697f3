import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isId } from "../domain/ids.js";
import { isActive } from "../domain/run-state.js";
import { findRuns } from "../store/runs.js";
import type { ExecutionContext } from "./execution-context.js";
import { readSpec, runFolder } from "./run-folder.js";
import { NONCE_VARIABLE } from "./supervisor/agent-process.js";
import { findProcessesByVariable, signalProcess } from "./supervisor/processes.js";

/**
 * Kills what runs that are over have left running on this host: a supervisor and an agent whose run was given
 * up while this server was away, or processes that outlived a killed supervisor. A run that the database does
 * not know is left alone: the database may be another one.
 */
export async function sweepOrphans({ db, dataDir, log }: ExecutionContext): Promise<void> {
  const names = await readdir(join(dataDir, "runs")).catch(() => []);
  const over = (await findRuns(db, names.filter(isId))).filter(({ state }) => !isActive(state));
  for (const { run_id: runId } of over) {
    const spec = await readSpec(runFolder(dataDir, runId));
    const orphans = spec ? findProcessesByVariable(NONCE_VARIABLE, spec.nonce) : [];
    for (const orphan of orphans) signalProcess(orphan, "SIGKILL");
    if (orphans.length > 0)
      log.warn({ run_id: runId, killed: orphans.length }, "processes of a run that is over were killed");
  }
}
