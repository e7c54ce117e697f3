import { type ChangeSet, ChangeSetSchema } from "@agent-manager/sdk/proto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Db } from "./schema.js";

/** Keeps a change set; storing the same one again changes nothing. */
export async function saveChangeSet(db: Db, changeSet: ChangeSet): Promise<void> {
  await db
    .insertInto("change_set")
    .values({
      run_id: changeSet.runId,
      digest: changeSet.digest,
      create_time: new Date(),
      change_set: Buffer.from(toBinary(ChangeSetSchema, changeSet)),
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

export async function findChangeSet(db: Db, runId: string, digest: string): Promise<ChangeSet | undefined> {
  const row = await db
    .selectFrom("change_set")
    .select("change_set")
    .where("run_id", "=", runId)
    .where("digest", "=", digest)
    .executeTakeFirst();
  return row && fromBinary(ChangeSetSchema, row.change_set);
}
