import { RunConfigSchema, RunState, TaskState } from "@agent-manager/sdk/proto";
import { newId } from "../../server/src/domain/ids.js";
import { defaultRunConfig } from "../../server/src/domain/run-config.js";
import { insertRun, writeJson } from "../../server/src/store/runs.js";
import type { Db, NewRun } from "../../server/src/store/schema.js";

/** Stores a run, and its task, straight in the tables; returns its id. */
export async function storeRun(db: Db, overrides: Partial<NewRun> = {}): Promise<string> {
  const runId = newId();
  const taskId = newId();
  const now = new Date();
  const task = {
    task_id: taskId,
    create_time: now,
    update_time: now,
    title: "a task",
    prompt: "do it",
    project_root: "/",
  };
  await db
    .insertInto("task")
    .values({ ...task, scope_paths: "[]", context: "[]", labels: "{}", state: TaskState.OPEN })
    .execute();
  await insertRun(db, {
    run_id: runId,
    create_time: now,
    update_time: now,
    version: 1n,
    task_id: taskId,
    profile_id: null,
    title: "a task",
    prompt: "do it",
    project_root: "/",
    runner: "claude-code",
    labels: "{}",
    config: writeJson(RunConfigSchema, defaultRunConfig()),
    config_sources: "[]",
    state: RunState.QUEUED,
    state_reason: "",
    outcome: 0,
    start_time: null,
    end_time: null,
    retry_time: null,
    stop_time: null,
    session_id: "",
    model: "",
    result: "",
    usage: "{}",
    change_set: null,
    sandbox: null,
    owner_id: null,
    ...overrides,
  });
  return runId;
}
