import {
  ChangeSetSummarySchema,
  ConfigSourceSchema,
  type Run,
  RunConfigSchema,
  RunSchema,
  type RunSelector,
  RunState,
  SandboxInfoSchema,
  TaskState,
  UsageTotalsSchema,
} from "@agent-manager/sdk/proto";
import { create, type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type SelectQueryBuilder, sql } from "kysely";
import { messageFromJson, messagesFromJson, stringMapFromJson } from "./json.js";
import type { AppendedRow, EncodedEvent } from "./run-events.js";
import { transitionArguments } from "./run-events.js";
import type { Database, Db, NewRun, RunRow, RunUpdate } from "./schema.js";

/** A run's row with the end of its log. */
export type RunWithLog = RunRow & { readonly last_sequence: bigint };

/** Stores a new run with an empty log. */
export async function insertRun(db: Db, run: NewRun): Promise<void> {
  await db.insertInto("run").values(run).execute();
  await db
    .insertInto("run_log")
    .values({ run_id: run.run_id, epoch: 0n, last_sequence: 0n, spool_offset: 0n })
    .execute();
}

export function selectRuns(db: Db) {
  return db
    .selectFrom("run")
    .innerJoin("run_log", "run_log.run_id", "run.run_id")
    .selectAll("run")
    .select("run_log.last_sequence");
}

export function findRun(db: Db, runId: string): Promise<RunWithLog | undefined> {
  return selectRuns(db).where("run.run_id", "=", runId).executeTakeFirst();
}

export async function findRuns(db: Db, runIds: readonly string[]): Promise<readonly RunWithLog[]> {
  if (runIds.length === 0) return []; // SQL has no empty list
  return selectRuns(db)
    .where("run.run_id", "in", [...runIds])
    .execute();
}

export function findRunsOfTask(db: Db, taskId: string): Promise<RunWithLog[]> {
  return selectRuns(db).where("run.task_id", "=", taskId).execute();
}

export interface RunProgress {
  readonly state: RunState;
  readonly lastSequence: bigint;
}

/** How far a run and its log are; undefined if there is no such run. */
export async function readRunProgress(db: Db, runId: string): Promise<RunProgress | undefined> {
  const row = await db
    .selectFrom("run")
    .innerJoin("run_log", "run_log.run_id", "run.run_id")
    .select(["run.state", "run_log.last_sequence"])
    .where("run.run_id", "=", runId)
    .executeTakeFirst();
  return row && { state: row.state, lastSequence: row.last_sequence };
}

export interface RunChange {
  readonly runId: string;
  /** The version that the decision was made on; another one means that someone else was first. */
  readonly version: bigint;
  readonly set: RunUpdate;
  /** The state that the run's task follows it to; a cancelled task stays cancelled. Undefined: unchanged. */
  readonly taskState: TaskState | undefined;
  readonly events: readonly EncodedEvent[];
  /** Also checked if not null: the epoch of the owner that decided. */
  readonly epoch: bigint | null;
}

/**
 * Changes a run and appends the events of the change in one statement. Undefined if the run's version or epoch
 * has moved on; then nothing was changed.
 */
export async function changeRun(db: Db, change: RunChange): Promise<AppendedRow | undefined> {
  const update = db
    .updateTable("run")
    .set({ ...change.set, version: sql<bigint>`version + 1`, update_time: sql<Date>`clock_timestamp()` })
    .where("run_id", "=", change.runId)
    .where("version", "=", change.version)
    .$if(change.epoch !== null, (query) =>
      query.where((where) =>
        where.exists(
          where
            .selectFrom("run_log")
            .select("run_log.epoch")
            .whereRef("run_log.run_id", "=", "run.run_id")
            .where("run_log.epoch", "=", change.epoch ?? 0n),
        ),
      ),
    )
    .returning(["run_id", "task_id"]);
  const taskState = change.taskState ?? null;
  // the first argument comes from `changed`, so that the function is not called when nothing was changed
  const { rows } = await sql<AppendedRow>`
    with changed as (${update}), followed as (
      update task set state = ${taskState}, update_time = clock_timestamp() from changed
      where task.task_id = changed.task_id and ${taskState}::smallint is not null
        and task.state not in (${taskState ?? 0}, ${TaskState.CANCELLED})
    )
    select a.* from changed, append_events(array[changed.run_id], ${transitionArguments(change.events)}) a`.execute(db);
  return rows[0];
}

/** Keeps what the agent's events say of the run as a whole. Only the run's owner does this. */
export async function updateRunSummary(db: Db, runId: string, set: RunUpdate): Promise<void> {
  await db
    .updateTable("run")
    .set({ ...set, version: sql<bigint>`version + 1`, update_time: sql<Date>`clock_timestamp()` })
    .where("run_id", "=", runId)
    .execute();
}

/** The oldest queued runs, oldest first. */
export function findQueuedRuns(db: Db, limit: number): Promise<RunWithLog[]> {
  return selectRuns(db).where("state", "=", RunState.QUEUED).orderBy("run.run_id").limit(limit).execute();
}

/** The runs whose agents this server looks after. */
export function findOwnedRuns(db: Db, ownerId: string): Promise<RunWithLog[]> {
  const states = [RunState.STARTING, RunState.RUNNING, RunState.AWAITING_INPUT];
  return selectRuns(db).where("owner_id", "=", ownerId).where("state", "in", states).execute();
}

type RunQuery<O> = SelectQueryBuilder<Database, "run" | "run_log", O>;

/** Narrows a query to the runs that a selector picks. */
export function whereSelected<O>(query: RunQuery<O>, selector: RunSelector | undefined): RunQuery<O> {
  if (!selector) return query;
  const { runIds, taskIds, labels, projectRoot, states, profileId, runner } = selector;
  return query
    .$if(runIds.length > 0, (q) => q.where("run.run_id", "in", runIds))
    .$if(taskIds.length > 0, (q) => q.where("run.task_id", "in", taskIds))
    .$if(Object.keys(labels).length > 0, (q) => q.where(sql<boolean>`run.labels @> ${JSON.stringify(labels)}::jsonb`))
    .$if(projectRoot !== "", (q) => q.where("run.project_root", "=", projectRoot))
    .$if(states.length > 0, (q) => q.where("run.state", "in", states))
    .$if(profileId !== "", (q) => q.where("run.profile_id", "=", profileId))
    .$if(runner !== "", (q) => q.where("run.runner", "=", runner));
}

export function runMessage(row: RunWithLog): Run {
  return create(RunSchema, {
    runId: row.run_id,
    createTime: timestampFromDate(row.create_time),
    updateTime: timestampFromDate(row.update_time),
    taskId: row.task_id,
    profileId: row.profile_id ?? "",
    title: row.title,
    prompt: row.prompt,
    projectRoot: row.project_root,
    labels: stringMapFromJson(row.labels),
    config: messageFromJson(RunConfigSchema, row.config),
    configSources: messagesFromJson(ConfigSourceSchema, row.config_sources),
    state: row.state,
    stateReason: row.state_reason,
    outcome: row.outcome,
    ...(row.start_time && { startTime: timestampFromDate(row.start_time) }),
    ...(row.end_time && { endTime: timestampFromDate(row.end_time) }),
    ...(row.retry_time && { retryTime: timestampFromDate(row.retry_time) }),
    sessionId: row.session_id,
    model: row.model,
    result: row.result,
    usage: messageFromJson(UsageTotalsSchema, row.usage),
    ...(row.change_set !== null && { changeSet: messageFromJson(ChangeSetSummarySchema, row.change_set) }),
    lastSequence: row.last_sequence,
    ...(row.sandbox !== null && { sandbox: messageFromJson(SandboxInfoSchema, row.sandbox) }),
    version: row.version,
  });
}

export function writeJson<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): string {
  return JSON.stringify(toJson(schema, message));
}
