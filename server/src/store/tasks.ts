import {
  type ContextAttachment,
  ContextAttachmentSchema,
  type Task,
  TaskSchema,
  TaskState,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Selectable, sql } from "kysely";
import { etagOf, versionOf } from "../domain/etag.js";
import { newId } from "../domain/ids.js";
import { messagesFromJson, messagesToJson, stringMapFromJson, stringsFromJson } from "./json.js";
import { openPage, type Page, type PageRequest } from "./pages.js";
import type { Db, TaskTable, Tx } from "./schema.js";
import { isForeignKeyViolation } from "./violations.js";

/** What people decide about a task, apart from its project. */
export interface TaskContent {
  readonly title: string;
  readonly prompt: string;
  readonly scopePaths: readonly string[];
  readonly context: readonly ContextAttachment[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface NewTask extends TaskContent {
  readonly projectRoot: string;
}

/** Creates an open task. */
export async function insertTask(tx: Tx, task: NewTask): Promise<Task> {
  const now = new Date();
  const identity = { task_id: newId(), create_time: now, update_time: now, project_root: task.projectRoot };
  const row = await tx
    .insertInto("task")
    .values({ ...identity, ...contentColumns(task), state: TaskState.OPEN })
    .returningAll()
    .executeTakeFirstOrThrow();
  return taskOf(row);
}

export async function findTask(db: Db, taskId: string): Promise<Task | undefined> {
  const row = await db.selectFrom("task").selectAll().where("task_id", "=", taskId).executeTakeFirst();
  return row && taskOf(row);
}

/**
 * The same, locked until the transaction ends: it is neither cancelled nor deleted meanwhile, so a run that is
 * created with it does not escape a cancel.
 */
export async function lockTask(tx: Tx, taskId: string): Promise<Task | undefined> {
  const row = await tx.selectFrom("task").selectAll().where("task_id", "=", taskId).forUpdate().executeTakeFirst();
  return row && taskOf(row);
}

export interface TaskQuery extends PageRequest {
  readonly labels: Readonly<Record<string, string>>;
  /** Empty: any. */
  readonly projectRoot: string;
  /** Empty: any. */
  readonly states: readonly TaskState[];
}

/** Newest first. */
export async function listTasks(db: Db, request: TaskQuery): Promise<Page<Task>> {
  const { pageSize, pageToken, labels, projectRoot, states } = request;
  const page = openPage({ list: "task", filters: { labels, projectRoot, states }, pageSize, pageToken });
  let query = db.selectFrom("task").selectAll().orderBy("task_id", "desc").limit(page.limit);
  if (page.before !== undefined) {
    query = query.where("task_id", "<", page.before);
  }
  if (Object.keys(labels).length > 0) {
    query = query.where(sql<boolean>`labels @> ${JSON.stringify(labels)}::jsonb`);
  }
  if (projectRoot !== "") {
    query = query.where("project_root", "=", projectRoot);
  }
  if (states.length > 0) {
    query = query.where("state", "in", states);
  }
  const tasks = (await query.execute()).map(taskOf);
  return page.pageOf(tasks, ({ taskId }) => taskId);
}

export interface TaskChange {
  readonly taskId: string;
  /** Of the task that the change was decided on. */
  readonly etag: string;
  readonly content: TaskContent;
}

/** Undefined if the task has changed since. */
export async function updateTask(tx: Tx, change: TaskChange): Promise<Task | undefined> {
  const version = versionOf(change.etag);
  const row = await tx
    .updateTable("task")
    .set({ ...contentColumns(change.content), update_time: new Date(), version: version + 1 })
    .where("task_id", "=", change.taskId)
    .where("version", "=", version)
    .returningAll()
    .executeTakeFirst();
  return row && taskOf(row);
}

/**
 * Moves a task to a state, unless it was cancelled, which is final. The etag stays: it is about what people
 * edit. Undefined if there is no such task or it was cancelled before.
 */
export async function setTaskState(db: Db, taskId: string, state: TaskState): Promise<Task | undefined> {
  const row = await db
    .updateTable("task")
    .set({ state, update_time: new Date() })
    .where("task_id", "=", taskId)
    .where("state", "!=", TaskState.CANCELLED)
    .returningAll()
    .executeTakeFirst();
  return row && taskOf(row);
}

export type TaskDeletion = "deleted" | "changed" | "has runs";

/** "changed" if the task has changed since. */
export async function deleteTask(db: Db, { taskId, etag }: Task): Promise<TaskDeletion> {
  try {
    const query = db.deleteFrom("task").where("task_id", "=", taskId).where("version", "=", versionOf(etag));
    return (await query.executeTakeFirst()).numDeletedRows === 1n ? "deleted" : "changed";
  } catch (error) {
    if (isForeignKeyViolation(error)) {
      return "has runs";
    }
    throw error;
  }
}

function contentColumns({ title, prompt, scopePaths, context, labels }: TaskContent) {
  return {
    title,
    prompt,
    scope_paths: JSON.stringify(scopePaths),
    context: messagesToJson(ContextAttachmentSchema, context),
    labels: JSON.stringify(labels),
  };
}

function taskOf(row: Selectable<TaskTable>): Task {
  return create(TaskSchema, {
    taskId: row.task_id,
    createTime: timestampFromDate(row.create_time),
    updateTime: timestampFromDate(row.update_time),
    title: row.title,
    prompt: row.prompt,
    projectRoot: row.project_root,
    scopePaths: stringsFromJson(row.scope_paths),
    context: messagesFromJson(ContextAttachmentSchema, row.context),
    labels: stringMapFromJson(row.labels),
    state: row.state,
    etag: etagOf(row.version),
  });
}
