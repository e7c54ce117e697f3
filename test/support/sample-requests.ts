import {
  AgentProfileService,
  PolicyService,
  RunEventService,
  RunnerService,
  RunService,
  TaskService,
} from "@agent-manager/sdk/proto";
import type { DescMethod, JsonObject } from "@bufbuild/protobuf";

/** An id of the right form that nothing has. */
export const unknownId = "0190a0b0-0000-7000-8000-000000000001";

export interface SampleRequest {
  /** "Service/Method". */
  readonly name: string;
  readonly method: DescMethod;
  /** A request that every rule accepts, about things that do not exist, in JSON with the names of the proto files. */
  readonly request: JsonObject;
}

const task = { prompt: "do it", project_root: "/nonexistent" };
const run = { run_id: unknownId };
const selector = { run_ids: [unknownId] };

/** One request for every method that takes more than an empty one. */
const requests: Readonly<Record<string, JsonObject>> = {
  "AgentProfileService/CreateAgentProfile": { profile: { key: "sample-created" } },
  "AgentProfileService/GetAgentProfile": { key: "sample-absent" },
  "AgentProfileService/UpdateAgentProfile": { profile: { profile_id: unknownId, description: "new" } },
  "AgentProfileService/DeleteAgentProfile": { profile_id: unknownId },
  "AgentProfileService/EnsureAgentProfile": { profile: { key: "sample-ensured" } },
  "TaskService/CreateTask": { task },
  "TaskService/GetTask": { task_id: unknownId },
  "TaskService/UpdateTask": { task: { task_id: unknownId, title: "new" } },
  "TaskService/CancelTask": { task_id: unknownId },
  "TaskService/DeleteTask": { task_id: unknownId },
  "RunService/CreateRun": { task_id: unknownId },
  "RunService/GetRun": run,
  "RunService/BatchGetRuns": { run_ids: [unknownId] },
  "RunService/ListRuns": { selector },
  "RunService/StopRun": run,
  "RunService/StopRuns": { selector },
  "RunService/SendRunInput": { ...run, text: "hello" },
  "RunService/ContinueRun": { ...run, prompt: "go on" },
  "RunService/AnswerInputRequest": { input_request_id: unknownId, deny: {} },
  "RunService/ListInputRequests": { selector },
  "RunService/GetChangeSet": run,
  "RunService/ApproveRun": { ...run, digest: "none" },
  "RunService/RejectRun": run,
  "RunService/GetTranscript": run,
  "RunService/WatchRun": run,
  "RunService/DeleteRun": run,
  "RunEventService/ListRunEvents": run,
  "RunEventService/WatchRunEvents": run,
  "RunEventService/WatchEvents": { selector },
  "RunEventService/ReadRunOutput": run,
  "PolicyService/CreatePolicy": { policy: { name: "sample" } },
  "PolicyService/GetPolicy": { policy_id: unknownId },
  "PolicyService/UpdatePolicy": { policy: { policy_id: unknownId, name: "new" } },
  "PolicyService/DeletePolicy": { policy_id: unknownId },
  "PolicyService/EvaluatePolicy": { run: { task } },
  "RunnerService/GetRunner": { runner: "claude-code" },
  "RunnerService/ProbeRunner": { runner: "claude-code" },
};

const services = [AgentProfileService, PolicyService, RunEventService, RunnerService, RunService, TaskService];

/** Every method of the API. */
export const sampleRequests: readonly SampleRequest[] = services.flatMap((service) =>
  service.methods.map((method) => {
    const name = `${service.name}/${method.name}`;
    return { name, method, request: requests[name] ?? {} };
  }),
);
