import { sql } from "kysely";
import type { Db } from "./schema.js";

/** The events of one run in one append, and how far they move its spool. */
export interface AppendEntry {
  readonly runId: string;
  /** Checked against the run's epoch; null for events that the owner's fence does not concern. */
  readonly epoch: bigint | null;
  /** Checked against the committed spool offset; null leaves the offset alone. */
  readonly fromOffset: number | null;
  readonly toOffset: number | null;
  readonly events: readonly EncodedEvent[];
}

export interface EncodedEvent {
  /** Field number in RunEvent's `event` oneof. */
  readonly kind: number;
  readonly bytes: Uint8Array;
}

export interface AppendedRow {
  readonly run_id: string;
  readonly base_sequence: bigint;
  readonly base_position: bigint;
  readonly record_time: Date;
}

/**
 * Appends the events of several runs in one autocommit statement, so that the head's row is locked only while
 * it runs and never across a round trip. A run whose epoch or offset does not match is left out of the answer
 * and nothing of it is stored; the others are. Doing the same again changes nothing, since the offset moved.
 */
export async function appendEvents(db: Db, entries: readonly AppendEntry[]): Promise<readonly AppendedRow[]> {
  const { rows } = await sql<AppendedRow>`select * from append_events(${appendArguments(entries)})`.execute(db);
  return rows;
}

function appendArguments(entries: readonly AppendEntry[]) {
  const events = entries.flatMap((entry, index) => entry.events.map((event) => ({ ...event, entry: index + 1 })));
  return sql`
    ${entries.map(({ runId }) => runId)}::uuid[],
    ${entries.map(({ epoch }) => epoch)}::bigint[],
    ${entries.map(({ fromOffset }) => fromOffset)}::bigint[],
    ${entries.map(({ toOffset }) => toOffset)}::bigint[],
    ${entries.map((entry) => entry.events.length)}::int[],
    ${events.map(({ entry }) => entry)}::int[],
    ${events.map(({ kind }) => kind)}::smallint[],
    ${events.map(({ bytes }) => bytes.length)}::int[],
    ${Buffer.concat(events.map(({ bytes }) => bytes))}::bytea`;
}

/** The same for one run whose id the calling statement supplies, without fence and offset. */
export function transitionArguments(events: readonly EncodedEvent[]) {
  return sql`
    array[null]::bigint[], array[null]::bigint[], array[null]::bigint[],
    ${[events.length]}::int[],
    ${events.map(() => 1)}::int[],
    ${events.map(({ kind }) => kind)}::smallint[],
    ${events.map(({ bytes }) => bytes.length)}::int[],
    ${Buffer.concat(events.map(({ bytes }) => bytes))}::bytea`;
}

/** A stored event as read back: what the append knew, and the encoded rest. */
export interface StoredEvent {
  readonly runId: string;
  readonly sequence: bigint;
  readonly position: bigint;
  readonly kind: number;
  readonly recordTime: Date;
  readonly bytes: Uint8Array;
}

export interface RunEventsQuery {
  readonly runId: string;
  readonly afterSequence: bigint;
  /** Field numbers; empty for all. */
  readonly kinds: readonly number[];
  readonly limit: number;
}

/** One run's events after a sequence, oldest first. */
export async function readRunEvents(db: Db, query: RunEventsQuery): Promise<readonly StoredEvent[]> {
  const rows = await db
    .selectFrom("run_event")
    .select(["run_id", "sequence", "position", "kind", "record_time", "event"])
    .where("run_id", "=", query.runId)
    .where("sequence", ">", query.afterSequence)
    .$if(query.kinds.length > 0, (select) => select.where("kind", "in", [...query.kinds]))
    .orderBy("sequence")
    .limit(query.limit)
    .execute();
  return rows.map((row) => ({
    runId: row.run_id,
    sequence: row.sequence,
    position: row.position,
    kind: row.kind,
    recordTime: row.record_time,
    bytes: row.event,
  }));
}

export interface LogHead {
  readonly logId: string;
  readonly newestPosition: bigint;
  readonly oldestPosition: bigint;
}

export async function readLogHead(db: Db): Promise<LogHead> {
  const row = await db.selectFrom("log_head").selectAll().executeTakeFirstOrThrow();
  return { logId: row.log_id, newestPosition: row.position, oldestPosition: row.oldest_position };
}

/** The run's place in the log; undefined if there is no such run. */
export function readRunLog(db: Db, runId: string) {
  return db.selectFrom("run_log").selectAll().where("run_id", "=", runId).executeTakeFirst();
}

/** Takes the run's log over: older owners are refused from now on. Returns the new epoch. */
export async function raiseEpoch(db: Db, runId: string): Promise<bigint> {
  const row = await db
    .updateTable("run_log")
    .set({ epoch: sql<bigint>`epoch + 1` })
    .where("run_id", "=", runId)
    .returning("epoch")
    .executeTakeFirstOrThrow();
  return row.epoch;
}
