import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AgentProfileService } from "./gen/agent_manager/v1/agent_profile_service_pb.js";
import { PolicyService } from "./gen/agent_manager/v1/policy_service_pb.js";
import { RunEventService } from "./gen/agent_manager/v1/run_event_service_pb.js";
import { RunService } from "./gen/agent_manager/v1/run_service_pb.js";
import { RunnerService } from "./gen/agent_manager/v1/runner_service_pb.js";
import { TaskService } from "./gen/agent_manager/v1/task_service_pb.js";
import { Health } from "./gen/grpc/health/v1/health_pb.js";

/**
 * The generated clients, one per service: every method of the API, without retries, request ids or typed errors
 * (they throw `ConnectError`).
 */
export interface Clients {
  readonly profiles: Client<typeof AgentProfileService>;
  readonly tasks: Client<typeof TaskService>;
  readonly runs: Client<typeof RunService>;
  readonly events: Client<typeof RunEventService>;
  readonly policies: Client<typeof PolicyService>;
  readonly runners: Client<typeof RunnerService>;
  readonly health: Client<typeof Health>;
}

/** Makes the generated clients over a transport. */
export function createClients(transport: Transport): Clients {
  return {
    profiles: createClient(AgentProfileService, transport),
    tasks: createClient(TaskService, transport),
    runs: createClient(RunService, transport),
    events: createClient(RunEventService, transport),
    policies: createClient(PolicyService, transport),
    runners: createClient(RunnerService, transport),
    health: createClient(Health, transport),
  };
}
