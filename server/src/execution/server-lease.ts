import { setTimeout as sleep } from "node:timers/promises";
import type { Db } from "../store/schema.js";
import { registerServer, renewLease } from "../store/servers.js";
import { retryWhileUnavailable } from "./retry.js";
import { readBootId } from "./supervisor/processes.js";

export interface ServerLeaseOptions {
  readonly db: Db;
  readonly serverId: string;
  /** How long the others take this server to be alive after its last word. */
  readonly ttlMs: number;
  readonly signal: AbortSignal;
}

/**
 * Says at intervals that this server is alive. A lease is per server and not per run, so its cost does not
 * grow with the runs; what keeps a server that was away from doing harm is each run's epoch, not its clock.
 */
export class ServerLease {
  constructor(readonly options: ServerLeaseOptions) {}

  /** Registers, then keeps the lease until the signal. Resolves after the registration. */
  async start(): Promise<void> {
    const epoch = await this.#register();
    void this.#keep(epoch).catch(() => {}); // rejects on the signal only
  }

  async #keep(epoch: bigint): Promise<void> {
    const { db, serverId, ttlMs, signal } = this.options;
    for (let current = epoch; ; ) {
      await sleep(ttlMs / 3, undefined, { signal });
      if (!(await retryWhileUnavailable(() => renewLease(db, { serverId, epoch: current, ttlMs }), signal))) {
        current = await this.#register();
      }
    }
  }

  #register(): Promise<bigint> {
    const { db, serverId, ttlMs, signal } = this.options;
    return retryWhileUnavailable(() => registerServer(db, { serverId, bootId: readBootId(), ttlMs }), signal);
  }
}
