import { EventKind, RunState } from "@agent-manager/sdk/proto";
import { sql } from "kysely";
import type { Db } from "../../../server/src/store/schema.js";

/** Something that holds of every log at rest, with the query that finds what breaks it. */
interface Claim {
  readonly claim: string;
  readonly violations: ReturnType<typeof sql>;
}

const terminal = [RunState.COMPLETED, RunState.REJECTED, RunState.FAILED, RunState.CANCELLED];

const claims: readonly Claim[] = [
  {
    claim: "positions run from 1 to the head's without a gap",
    violations: sql`
      select h.position as head, count(e.position), min(e.position), max(e.position)
      from log_head h left join run_event e on true group by h.position
      having count(e.position) <> h.position or coalesce(max(e.position), 0) <> h.position
        or coalesce(min(e.position), 1) <> 1`,
  },
  {
    claim: "the sequences of a run run from 1 to its last without a gap",
    violations: sql`
      select l.run_id, l.last_sequence, count(e.sequence), min(e.sequence), max(e.sequence)
      from run_log l left join run_event e on e.run_id = l.run_id group by l.run_id, l.last_sequence
      having count(e.sequence) <> l.last_sequence or coalesce(max(e.sequence), 0) <> l.last_sequence
        or coalesce(min(e.sequence), 1) <> 1`,
  },
  {
    claim: "sequences and positions of a run are in the same order",
    violations: sql`
      select run_id, sequence, position from (
        select run_id, sequence, position, lag(sequence) over (partition by run_id order by position) as before
        from run_event
      ) e where before >= sequence`,
  },
  {
    claim: "the last event of a run that has ended is its last change of state",
    violations: sql`
      select r.run_id, r.state, e.kind from run r join run_log l on l.run_id = r.run_id
      join run_event e on e.run_id = r.run_id and e.sequence = l.last_sequence
      where r.state = any(${terminal}::smallint[]) and e.kind <> ${EventKind.RUN_STATE_CHANGED}`,
  },
  {
    claim: "an agent is started, and seen to end, at most once per run",
    violations: sql`
      select run_id, kind, count(*) from run_event
      where kind = any(${[EventKind.PROCESS_STARTED, EventKind.PROCESS_ENDED]}::smallint[])
      group by run_id, kind having count(*) > 1`,
  },
  {
    claim: "no run is active without an owner",
    violations: sql`
      select run_id, state from run where owner_id is null
        and state = any(${[RunState.STARTING, RunState.RUNNING, RunState.AWAITING_INPUT]}::smallint[])`,
  },
];

/** The claims that the log breaks, in words. */
export async function checkLogClaims(db: Db): Promise<readonly string[]> {
  const broken: string[] = [];
  for (const { claim, violations } of claims) {
    const { rows } = await violations.execute(db);
    if (rows.length > 0) broken.push(`broken: ${claim}: ${show(rows.slice(0, 3))} (${rows.length} in all)`);
  }
  return broken;
}

function show(rows: readonly unknown[]): string {
  return JSON.stringify(rows, (_key, value: unknown) => (typeof value === "bigint" ? Number(value) : value));
}
