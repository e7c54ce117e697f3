import {
  AgentProfileService,
  Health,
  PolicyService,
  RunEventService,
  RunnerService,
  RunService,
  TaskService,
} from "@agent-manager/sdk/proto";
import { ServerReflectionV1, ServerReflectionV1Alpha } from "@agent-manager/sdk/reflection";
import type { DescService } from "@bufbuild/protobuf";

/** The services of agent-manager. */
export const ownServices: readonly DescService[] = [
  AgentProfileService,
  TaskService,
  RunService,
  RunEventService,
  PolicyService,
  RunnerService,
];

/** All that the server answers to, as reflection lists it. */
export const servedServices: readonly DescService[] = [
  ...ownServices,
  Health,
  ServerReflectionV1,
  ServerReflectionV1Alpha,
];
