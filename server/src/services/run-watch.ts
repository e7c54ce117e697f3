import { type WatchRunResponse, WatchRunResponseSchema } from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import { DomainError } from "../domain/errors.js";
import { isTerminal } from "../domain/run-state.js";
import type { LogHub } from "../log/log-hub.js";
import { findRun, runMessage } from "../store/runs.js";
import type { Db } from "../store/schema.js";

/** A run of another server is looked at this often. */
const POLL_MS = 1_000;
const HEARTBEAT_MS = 15_000;

export interface WatchRunOptions {
  readonly db: Db;
  readonly hub: LogHub;
  readonly signal: AbortSignal;
}

/** The run at once and after each change, until a terminal state was sent; a heartbeat is an empty response. */
export async function* watchRun(runId: string, { db, hub, signal }: WatchRunOptions): AsyncGenerator<WatchRunResponse> {
  using subscription = hub.subscribe(runId);
  let version = 0n;
  let lastMs = 0;
  while (!signal.aborted) {
    const row = await findRun(db, runId);
    if (!row) throw new DomainError("RUN_NOT_FOUND", { run_id: runId });
    if (row.version !== version) {
      yield create(WatchRunResponseSchema, { run: runMessage(row) });
      ({ version } = row);
      lastMs = Date.now();
    } else if (Date.now() - lastMs > HEARTBEAT_MS) {
      yield create(WatchRunResponseSchema);
      lastMs = Date.now();
    }
    if (isTerminal(row.state)) return;
    await subscription.wait(POLL_MS, signal);
  }
}
