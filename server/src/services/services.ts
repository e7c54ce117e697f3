import {
  AgentProfileService,
  PolicyService,
  RunEventService,
  RunnerService,
  RunService,
  TaskService,
} from "@agent-manager/sdk/proto";
import type { ConnectRouter } from "@connectrpc/connect";
import { isStoppable } from "../domain/run-state.js";
import type { ExecutionContext } from "../execution/execution-context.js";
import type { Executor } from "../execution/executor.js";
import { stopIfStoppable } from "../execution/run-stop.js";
import { findRunsOfTask } from "../store/runs.js";
import { actorOf } from "./actor.js";
import { createAgentProfileService } from "./agent-profile-service.js";
import { createPolicyService } from "./policy-service.js";
import { createRunEventService } from "./run-event-service.js";
import { createRunService } from "./run-service.js";
import { createRunnerService } from "./runner-service.js";
import { createTaskService } from "./task-service.js";

export interface ServiceParts extends ExecutionContext {
  readonly executor: Executor;
  /** Folders that projects may lie in, without links; empty for any. */
  readonly projectRoots: readonly string[];
}

/** Registers every service of agent_manager.v1. A method that a service leaves out answers UNIMPLEMENTED. */
export function registerServices(router: ConnectRouter, parts: ServiceParts): void {
  const { db, serverEnvironment: environment } = parts;
  router.service(AgentProfileService, createAgentProfileService({ db }));
  router.service(PolicyService, createPolicyService({ db }));
  router.service(RunEventService, createRunEventService(parts));
  router.service(RunnerService, createRunnerService({ ...parts, environment }));
  router.service(RunService, createRunService(parts));
  router.service(
    TaskService,
    createTaskService({
      ...parts,
      principalName: actorOf,
      stopRunsOfTask: (taskId, comment, actor) => stopRunsOfTask(parts, { taskId, comment, actor }),
    }),
  );
}

interface TaskStop {
  readonly taskId: string;
  readonly comment: string;
  readonly actor: string;
}

async function stopRunsOfTask(parts: ServiceParts, { taskId, ...stop }: TaskStop): Promise<void> {
  const runs = await findRunsOfTask(parts.db, taskId);
  for (const run of runs.filter(({ state }) => isStoppable(state)))
    await stopIfStoppable({ runId: run.run_id, ...stop }, parts);
}
