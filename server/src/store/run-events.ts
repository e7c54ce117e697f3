import type { RunState } from "@agent-manager/sdk/proto";
import { type RawBuilder, type Selectable, sql } from "kysely";
import type { Db, LogHeadTable } from "./schema.js";

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
  return sql`
    ${arrayText(entries.map(({ runId }) => runId))}::uuid[],
    ${arrayText(entries.map(({ epoch }) => epoch))}::bigint[],
    ${arrayText(entries.map(({ fromOffset }) => fromOffset))}::bigint[],
    ${arrayText(entries.map(({ toOffset }) => toOffset))}::bigint[],
    ${eventArguments(entries.map(({ events }) => events))}`;
}

/** The same for one run whose id the calling statement supplies, without fence and offset. */
export function transitionArguments(events: readonly EncodedEvent[]) {
  return sql`
    array[null]::bigint[], array[null]::bigint[], array[null]::bigint[],
    ${eventArguments([events])}`;
}

/** In plain loops: there are thousands of events in a busy append, and nothing is durable until this is made. */
function eventArguments(entries: readonly (readonly EncodedEvent[])[]) {
  const numbers: number[] = [];
  const kinds: number[] = [];
  const lengths: number[] = [];
  const data: Uint8Array[] = [];
  for (const [index, events] of entries.entries()) {
    for (const { kind, bytes } of events) {
      numbers.push(index + 1);
      kinds.push(kind);
      lengths.push(bytes.length);
      data.push(bytes);
    }
  }
  return sql`
    ${arrayText(entries.map(({ length }) => length))}::int[],
    ${arrayText(numbers)}::int[],
    ${arrayText(kinds)}::smallint[],
    ${arrayText(lengths)}::int[],
    ${Buffer.concat(data)}::bytea`;
}

/** An array as Postgres reads it. The driver would quote each value, which costs as much as the database's part. */
function arrayText(values: readonly (string | number | bigint | null)[]): string {
  return `{${values.map((value) => value ?? "null").join(",")}}`;
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
  return db
    .selectFrom("run_event")
    .select(["run_id as runId", "sequence", "position", "kind", "record_time as recordTime", "event as bytes"])
    .where("run_id", "=", query.runId)
    .where("sequence", ">", query.afterSequence)
    .$if(query.kinds.length > 0, (select) => select.where("kind", "in", [...query.kinds]))
    .orderBy("sequence")
    .limit(query.limit)
    .execute();
}

/** Which part of a log to read: sequences of one run, or positions of the whole. */
export interface LogRange {
  readonly after: bigint;
  readonly upTo: bigint;
  /** The log's oldest position as the reader knows it; nothing is read once another one is the oldest. */
  readonly oldestPosition: bigint;
  /** Field numbers; empty for all. */
  readonly kinds: readonly number[];
  readonly maxEvents: number;
  /** What is read may be larger by one event. */
  readonly maxBytes: number;
}

/** One run's events in a range of sequences, oldest first. */
export function readRunPage(db: Db, runId: string, range: LogRange): Promise<readonly StoredEvent[]> {
  const events = db
    .selectFrom("run_event")
    .selectAll()
    .where("run_id", "=", runId)
    .where("sequence", ">", range.after)
    .where("sequence", "<=", range.upTo);
  return readPage(db, { events: sql`${events}`, key: "sequence", range });
}

export interface PageQuery {
  /** Selects rows of run_event. */
  readonly events: RawBuilder<unknown>;
  readonly key: "sequence" | "position";
  readonly range: LogRange;
}

/**
 * Cuts a page to the range's limits, in the database, so that no large event is fetched in vain. The oldest
 * position is compared in the same statement: a log that is trimmed meanwhile can leave no hole in a page.
 */
export async function readPage(db: Db, { events, key, range }: PageQuery): Promise<readonly StoredEvent[]> {
  const ofKinds = range.kinds.length > 0 ? sql`and kind = any(${range.kinds}::smallint[])` : sql``;
  const { rows } = await sql<StoredEvent>`
    select run_id as "runId", sequence, position, kind, record_time as "recordTime", event as bytes from (
      select *, sum(octet_length(event)) over (order by position rows unbounded preceding) - octet_length(event)
        as bytes_before
      from (
        select * from (${events}) events
        where (select oldest_position from log_head) = ${range.oldestPosition} ${ofKinds}
        order by ${sql.ref(key)} limit ${range.maxEvents}
      ) candidates
    ) sized where bytes_before < ${range.maxBytes} order by position`.execute(db);
  return rows;
}

export interface LogHead {
  readonly logId: string;
  readonly newestPosition: bigint;
  readonly oldestPosition: bigint;
}

export async function readLogHead(db: Db): Promise<LogHead> {
  return headOf(await db.selectFrom("log_head").selectAll().executeTakeFirstOrThrow());
}

function headOf(row: Pick<Selectable<LogHeadTable>, "log_id" | "position" | "oldest_position">): LogHead {
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

export interface RunLogEnd {
  readonly head: LogHead;
  readonly state: RunState;
  readonly lastSequence: bigint;
}

/** Where a run's log and the whole log stand, at one moment; undefined if there is no such run. */
export async function readRunLogEnd(db: Db, runId: string): Promise<RunLogEnd | undefined> {
  const row = await db
    .selectFrom("run")
    .innerJoin("run_log", "run_log.run_id", "run.run_id")
    .innerJoin("log_head", (join) => join.onTrue())
    .select(["run.state", "run_log.last_sequence", "log_head.log_id", "log_head.position", "log_head.oldest_position"])
    .where("run.run_id", "=", runId)
    .executeTakeFirst();
  return row && { head: headOf(row), state: row.state, lastSequence: row.last_sequence };
}

/** The run's oldest sequence that is kept; undefined if none is. */
export async function readOldestSequence(db: Db, runId: string): Promise<bigint | undefined> {
  const row = await db
    .selectFrom("run_event")
    .select("sequence")
    .where("run_id", "=", runId)
    .orderBy("sequence")
    .limit(1)
    .executeTakeFirst();
  return row?.sequence;
}

/** The runs that have events after a position. */
export async function findRunsAfter(db: Db, position: bigint): Promise<readonly string[]> {
  const rows = await db.selectFrom("run_event").select("run_id").distinct().where("position", ">", position).execute();
  return rows.map(({ run_id }) => run_id);
}
