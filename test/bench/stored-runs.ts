import { RunState } from "@agent-manager/sdk/proto";
import { storeRun } from "../support/runs.js";
import { sampleEvent } from "./sample-events.js";
import type { BenchDatabase } from "./workbench.js";

/** Stores runs with empty logs; returns their ids. */
export async function storeRuns({ db, pool }: BenchDatabase, count: number): Promise<readonly string[]> {
  const first = await storeRun(db, { state: RunState.RUNNING });
  // in one statement, since a thousand one by one take longer than what is measured
  const { rows } = await pool.query<{ run_id: string }>(
    `with copied as (
       insert into run
       select (jsonb_populate_record(r, jsonb_build_object('run_id', gen_random_uuid()))).*
       from run r, generate_series(2, $2) where r.run_id = $1
       returning run_id
     ), log as (insert into run_log (run_id) select run_id from copied)
     select run_id from copied`,
    [first, count],
  );
  return [first, ...rows.map(({ run_id }) => run_id)];
}

export interface RunFilling {
  readonly runId: string;
  readonly events: number;
  readonly state?: RunState;
  /** False leaves the run's last sequence alone, so that its watchers do not look for the events. */
  readonly announced?: boolean;
}

/** Gives a run this many events at the end of the log, as appends would have, and the state it ends in. */
export async function fillRun({ pool }: BenchDatabase, filling: RunFilling): Promise<void> {
  const { runId, events, state = RunState.RUNNING, announced = true } = filling;
  const { kind, bytes } = sampleEvent();
  await pool.query(
    `with head as (update log_head set position = position + $2 returning position - $2 as base)
     insert into run_event (position, run_id, sequence, kind, record_time, event)
     select base + n, $1, n, $3, clock_timestamp(), $4 from head, generate_series(1, $2::bigint) n`,
    [runId, events, kind, Buffer.from(bytes)],
  );
  if (announced) await pool.query("update run_log set last_sequence = $2 where run_id = $1", [runId, events]);
  await pool.query("update run set state = $2 where run_id = $1", [runId, state]);
  await pool.query("vacuum analyze run_event");
}
