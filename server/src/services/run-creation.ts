import {
  type AgentProfile,
  ConfigSource_Kind,
  ConfigSourceSchema,
  type CreateRunRequest,
  RunConfigSchema,
  RunState,
  type Task,
  TaskState,
} from "@agent-manager/sdk/proto";
import { DomainError } from "../domain/errors.js";
import { newId } from "../domain/ids.js";
import { composePrompt } from "../domain/prompt.js";
import { checkRunConfig, resolveRunConfig } from "../domain/run-config.js";
import type { Runner } from "../runners/runner.js";
import { findAgentProfile } from "../store/agent-profiles.js";
import { insertRun, writeJson } from "../store/runs.js";
import type { Tx } from "../store/schema.js";
import { lockTask } from "../store/tasks.js";
import { createTaskFromRequest } from "./task-creation.js";

export interface RunCreationOptions {
  readonly runners: ReadonlyMap<string, Runner>;
  readonly projectRoots: readonly string[];
}

/** Stores the run of a request, queued, and its task if that came inline. Returns the run's id. */
export async function createRun(tx: Tx, request: CreateRunRequest, options: RunCreationOptions): Promise<string> {
  const task = await findOrCreateTask(tx, request, options);
  const profile = await findProfile(tx, request);
  const { config, sources } = resolveRunConfig([
    { kind: ConfigSource_Kind.PROFILE, sourceId: profile?.profileId ?? "", config: profile?.config },
    { kind: ConfigSource_Kind.OVERRIDE, sourceId: "", config: request.configOverrides },
  ]);
  checkRunConfig(config);
  const runner = config.runner ?? "";
  if (!options.runners.has(runner)) {
    throw new DomainError("RUNNER_UNKNOWN", { runner, known: [...options.runners.keys()].join(", ") });
  }
  const runId = newId();
  const now = new Date();
  await insertRun(tx, {
    run_id: runId,
    create_time: now,
    update_time: now,
    version: 1n,
    task_id: task.taskId,
    profile_id: profile?.profileId ?? null,
    title: task.title,
    prompt: composePrompt(task),
    project_root: task.projectRoot,
    runner,
    labels: JSON.stringify({ ...task.labels, ...request.labels }),
    config: writeJson(RunConfigSchema, config),
    config_sources: `[${sources.map((source) => writeJson(ConfigSourceSchema, source)).join(",")}]`,
    state: RunState.QUEUED,
    state_reason: "",
    outcome: 0,
    session_id: "",
    model: "",
    result: "",
    usage: "{}",
    change_set: null,
    sandbox: null,
    owner_id: null,
    start_time: null,
    end_time: null,
    retry_time: null,
    stop_time: null,
  });
  return runId;
}

async function findOrCreateTask(tx: Tx, { work }: CreateRunRequest, options: RunCreationOptions): Promise<Task> {
  if (work.case === "task") return createTaskFromRequest(tx, work.value, { fieldPrefix: "task", ...options });
  const taskId = work.value ?? "";
  const task = await lockTask(tx, taskId);
  if (!task) throw new DomainError("TASK_NOT_FOUND", { task_id: taskId });
  if (task.state === TaskState.CANCELLED) throw new DomainError("TASK_CANCELLED", { task_id: taskId });
  return task;
}

async function findProfile(tx: Tx, { profile }: CreateRunRequest): Promise<AgentProfile | undefined> {
  if (profile.case === undefined) return undefined;
  const name = profile.case === "profileId" ? { profileId: profile.value } : { key: profile.value };
  const found = await findAgentProfile(tx, name);
  if (!found) throw new DomainError("PROFILE_NOT_FOUND", { profile: profile.value });
  return found;
}
