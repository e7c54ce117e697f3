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
import type { Role } from "../domain/principal.js";

/** Who may call a method: anybody without a token, or the holders of these roles. */
export type Access = "open" | readonly Role[];

/** Who may call a method, by its full name "package.Service/Method". Undefined: nobody. */
export function accessOf(method: string): Access | undefined {
  return table.get(method);
}

const everyone = ["viewer", "operator", "reviewer", "admin"] as const;
const operators = ["operator", "admin"] as const;
const reviewers = ["reviewer", "admin"] as const;
const answerers = ["operator", "reviewer", "admin"] as const;
const admins = ["admin"] as const;

const profiles = rows(AgentProfileService, {
  createAgentProfile: operators,
  getAgentProfile: everyone,
  listAgentProfiles: everyone,
  updateAgentProfile: operators,
  deleteAgentProfile: admins,
  ensureAgentProfile: operators,
});

const tasks = rows(TaskService, {
  createTask: operators,
  getTask: everyone,
  listTasks: everyone,
  updateTask: operators,
  cancelTask: operators,
  deleteTask: admins,
});

const runs = rows(RunService, {
  createRun: operators,
  getRun: everyone,
  batchGetRuns: everyone,
  listRuns: everyone,
  stopRun: operators,
  stopRuns: operators,
  sendRunInput: operators,
  continueRun: operators,
  answerInputRequest: answerers,
  listInputRequests: everyone,
  getChangeSet: everyone,
  approveRun: reviewers,
  rejectRun: reviewers,
  getTranscript: everyone,
  watchRun: everyone,
  deleteRun: admins,
});

const runEvents = rows(RunEventService, {
  listRunEvents: everyone,
  watchRunEvents: everyone,
  watchEvents: everyone,
  readRunOutput: everyone,
});

const policies = rows(PolicyService, {
  createPolicy: admins,
  getPolicy: everyone,
  listPolicies: everyone,
  updatePolicy: admins,
  deletePolicy: admins,
  evaluatePolicy: everyone,
});

const runners = rows(RunnerService, {
  listRunners: everyone,
  getRunner: everyone,
  probeRunner: admins, // spends money at a provider
});

// Load balancers and supervisors ask for health and hold no token.
const health = rows(Health, { check: "open", list: "open", watch: "open" });

const reflection = [
  ...rows(ServerReflectionV1, { serverReflectionInfo: everyone }),
  ...rows(ServerReflectionV1Alpha, { serverReflectionInfo: everyone }),
];

const table: ReadonlyMap<string, Access> = new Map([
  ...profiles,
  ...tasks,
  ...runs,
  ...runEvents,
  ...policies,
  ...runners,
  ...health,
  ...reflection,
]);

type Rows<Service extends DescService> = Readonly<Record<keyof Service["method"], Access>>;

/** The type asks for a row for every method of the service. */
function rows<Service extends DescService>(service: Service, methods: Rows<Service>): [string, Access][] {
  const byName: ReadonlyMap<string, Access> = new Map(Object.entries(methods));
  return service.methods.flatMap(({ name, localName }): [string, Access][] => {
    const access = byName.get(localName);
    return access === undefined ? [] : [[`${service.typeName}/${name}`, access]];
  });
}
