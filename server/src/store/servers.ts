import { RunState } from "@agent-manager/sdk/proto";
import { sql } from "kysely";
import { type RunWithLog, selectRuns } from "./runs.js";
import type { Db } from "./schema.js";

export interface ServerRegistration {
  readonly serverId: string;
  readonly bootId: string;
  readonly ttlMs: number;
}

/** Announces a server that has just started; returns its epoch, which ends every earlier life of it. */
export async function registerServer(db: Db, { serverId, bootId, ttlMs }: ServerRegistration): Promise<bigint> {
  const leaseUntil = leaseEnd(ttlMs);
  const row = await db
    .insertInto("server")
    .values({ server_id: serverId, epoch: 1n, lease_until: leaseUntil, boot_id: bootId })
    .onConflict((conflict) =>
      conflict
        .column("server_id")
        .doUpdateSet({ epoch: sql<bigint>`server.epoch + 1`, lease_until: leaseUntil, boot_id: bootId }),
    )
    .returning("epoch")
    .executeTakeFirstOrThrow();
  return row.epoch;
}

export interface LeaseRenewal {
  readonly serverId: string;
  readonly epoch: bigint;
  readonly ttlMs: number;
}

/** Keeps a server's lease; false if a later life of the server has started. */
export async function renewLease(db: Db, { serverId, epoch, ttlMs }: LeaseRenewal): Promise<boolean> {
  const result = await db
    .updateTable("server")
    .set({ lease_until: leaseEnd(ttlMs) })
    .where("server_id", "=", serverId)
    .where("epoch", "=", epoch)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** An active run whose server has let its lease run out. */
export interface AbandonedRun {
  readonly run: RunWithLog;
  readonly bootId: string;
  /** For how long the lease has been over, in milliseconds. */
  readonly expiredMs: number;
}

export async function findAbandonedRuns(db: Db): Promise<readonly AbandonedRun[]> {
  const rows = await selectRuns(db)
    .innerJoin("server", "server.server_id", "run.owner_id")
    .select([
      "server.boot_id",
      sql<number>`extract(epoch from clock_timestamp() - server.lease_until) * 1000`.as("expired_ms"),
    ])
    .where("server.lease_until", "<", sql<Date>`clock_timestamp()`)
    .where("run.state", "in", [RunState.STARTING, RunState.RUNNING, RunState.AWAITING_INPUT])
    .execute();
  return rows.map(({ boot_id, expired_ms, ...run }) => ({ run, bootId: boot_id, expiredMs: Number(expired_ms) }));
}

function leaseEnd(ttlMs: number) {
  return sql<Date>`clock_timestamp() + ${ttlMs} * interval '1 millisecond'`;
}
