import type { RunSelector } from "@agent-manager/sdk/proto";
import { sql } from "kysely";
import { type LogRange, readPage, type StoredEvent } from "./run-events.js";
import { whereSelected } from "./runs.js";
import type { Db } from "./schema.js";

/** The events of the runs that a selector picks, in a range of positions, oldest first. */
export function readSelectedPage(
  db: Db,
  selector: RunSelector | undefined,
  range: LogRange,
): Promise<readonly StoredEvent[]> {
  const between = db
    .selectFrom("run_event")
    .selectAll()
    .where("position", ">", range.after)
    .where("position", "<=", range.upTo);
  if (!selectsSome(selector)) return readPage(db, { events: sql`${between}`, key: "position", range });
  // the offset keeps Postgres to the order of positions: else it may read all of a long run for every page
  const window = between.orderBy("position").offset(0).as("run_event");
  const selected = db.selectFrom(window).selectAll().where("run_id", "in", selectRunIds(db, selector));
  return readPage(db, { events: sql`${selected}`, key: "position", range });
}

/** Which of these runs a selector picks. */
export async function findSelectedRuns(
  db: Db,
  selector: RunSelector | undefined,
  runIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await selectRunIds(db, selector)
    .where("run.run_id", "in", [...runIds])
    .execute();
  return new Set(rows.map(({ run_id }) => run_id));
}

/** False if the selector picks every run. */
export function selectsSome(selector: RunSelector | undefined): boolean {
  if (selector === undefined) return false;
  const { runIds, taskIds, labels, projectRoot, states, profileId, runner } = selector;
  const lists = [runIds, taskIds, Object.keys(labels), states];
  return lists.some(({ length }) => length > 0) || [projectRoot, profileId, runner].some((text) => text !== "");
}

function selectRunIds(db: Db, selector: RunSelector | undefined) {
  const runs = db.selectFrom("run").innerJoin("run_log", "run_log.run_id", "run.run_id").select("run.run_id");
  return whereSelected(runs, selector);
}
