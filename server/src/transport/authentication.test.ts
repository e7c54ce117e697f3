import * as proto from "@agent-manager/sdk/proto";
import * as reflection from "@agent-manager/sdk/reflection";
import type { DescService } from "@bufbuild/protobuf";
import { createContextValues } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { Role } from "../domain/principal.js";
import { createAuthenticator, sha256 } from "../security/principals.js";
import { authenticate, refusalKey } from "./authentication.js";
import { servedServices } from "./served-services.js";

const roles: readonly Role[] = ["viewer", "operator", "reviewer", "admin"];
const authenticator = createAuthenticator(
  roles.map((role) => ({ principal: { name: role, role }, sha256: sha256(`${role}-token`) })),
);
const outcome = (method: string, authorization?: string): string => {
  try {
    return authenticate({ authenticator, method, authorization })?.name ?? "open";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
};

// Who may call what. Changing a line is a decision about security; a method without a line fails.
const expected = `
agent_manager.v1.AgentProfileService/CreateAgentProfile                  operator          admin
agent_manager.v1.AgentProfileService/GetAgentProfile              viewer operator reviewer admin
agent_manager.v1.AgentProfileService/ListAgentProfiles            viewer operator reviewer admin
agent_manager.v1.AgentProfileService/UpdateAgentProfile                  operator          admin
agent_manager.v1.AgentProfileService/DeleteAgentProfile                                    admin
agent_manager.v1.AgentProfileService/EnsureAgentProfile                  operator          admin
agent_manager.v1.TaskService/CreateTask                                  operator          admin
agent_manager.v1.TaskService/GetTask                              viewer operator reviewer admin
agent_manager.v1.TaskService/ListTasks                            viewer operator reviewer admin
agent_manager.v1.TaskService/UpdateTask                                  operator          admin
agent_manager.v1.TaskService/CancelTask                                  operator          admin
agent_manager.v1.TaskService/DeleteTask                                                    admin
agent_manager.v1.RunService/CreateRun                                    operator          admin
agent_manager.v1.RunService/GetRun                                viewer operator reviewer admin
agent_manager.v1.RunService/BatchGetRuns                          viewer operator reviewer admin
agent_manager.v1.RunService/ListRuns                              viewer operator reviewer admin
agent_manager.v1.RunService/StopRun                                      operator          admin
agent_manager.v1.RunService/StopRuns                                     operator          admin
agent_manager.v1.RunService/SendRunInput                                 operator          admin
agent_manager.v1.RunService/ContinueRun                                  operator          admin
agent_manager.v1.RunService/AnswerInputRequest                           operator reviewer admin
agent_manager.v1.RunService/ListInputRequests                     viewer operator reviewer admin
agent_manager.v1.RunService/GetChangeSet                          viewer operator reviewer admin
agent_manager.v1.RunService/ApproveRun                                            reviewer admin
agent_manager.v1.RunService/RejectRun                                             reviewer admin
agent_manager.v1.RunService/GetTranscript                         viewer operator reviewer admin
agent_manager.v1.RunService/WatchRun                              viewer operator reviewer admin
agent_manager.v1.RunService/DeleteRun                                                      admin
agent_manager.v1.RunEventService/ListRunEvents                    viewer operator reviewer admin
agent_manager.v1.RunEventService/WatchRunEvents                   viewer operator reviewer admin
agent_manager.v1.RunEventService/WatchEvents                      viewer operator reviewer admin
agent_manager.v1.RunEventService/ReadRunOutput                    viewer operator reviewer admin
agent_manager.v1.PolicyService/CreatePolicy                                                admin
agent_manager.v1.PolicyService/GetPolicy                          viewer operator reviewer admin
agent_manager.v1.PolicyService/ListPolicies                       viewer operator reviewer admin
agent_manager.v1.PolicyService/UpdatePolicy                                                admin
agent_manager.v1.PolicyService/DeletePolicy                                                admin
agent_manager.v1.PolicyService/EvaluatePolicy                     viewer operator reviewer admin
agent_manager.v1.RunnerService/ListRunners                        viewer operator reviewer admin
agent_manager.v1.RunnerService/GetRunner                          viewer operator reviewer admin
agent_manager.v1.RunnerService/ProbeRunner                                                 admin
grpc.health.v1.Health/Check                                       open
grpc.health.v1.Health/List                                        open
grpc.health.v1.Health/Watch                                       open
grpc.reflection.v1.ServerReflection/ServerReflectionInfo          viewer operator reviewer admin
grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo     viewer operator reviewer admin
`;
const rows = new Map(
  expected
    .trim()
    .split("\n")
    .map((line) => line.split(/ +/))
    .map(([method = "", ...allowed]) => [method, allowed]),
);

const generated: readonly unknown[] = [...Object.values(proto), ...Object.values(reflection)];
const services = generated.filter(isService);
const methods = services.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`));

test("every service that is generated is served, and every method of it has a line", () => {
  expect(servedServices.map(({ typeName }) => typeName).toSorted()).toEqual(
    services.map(({ typeName }) => typeName).toSorted(),
  );
  expect([...rows.keys()].toSorted()).toEqual(methods.toSorted());
});

describe.each(methods)("%s", (method) => {
  const allowed = rows.get(method) ?? [];

  test.each(roles)("%s", (role) => {
    const expectedOutcome = allowed.includes("open") ? "open" : allowed.includes(role) ? role : "ROLE_REQUIRED";
    expect(outcome(method, `Bearer ${role}-token`)).toBe(expectedOutcome);
  });

  test("no token and a wrong one", () => {
    const expectedOutcome = allowed.includes("open") ? "open" : "UNAUTHENTICATED";
    expect(outcome(method)).toBe(expectedOutcome);
    expect(outcome(method, "Bearer wrong")).toBe(expectedOutcome);
  });
});

test("a method without a row is denied to everybody", () => {
  for (const role of roles)
    expect(outcome("agent_manager.v1.RunService/New", `Bearer ${role}-token`)).toBe("ROLE_REQUIRED");
  expect(outcome("agent_manager.v1.RunService/New")).toBe("UNAUTHENTICATED");
});

test("a call that nobody authenticated is refused", () => {
  expect(createContextValues().get(refusalKey)).toMatchObject({ reason: "UNAUTHENTICATED" });
});

describe("the authorization header", () => {
  test.each(["Bearer admin-token", "bearer admin-token", "BEARER  admin-token "])("%j is taken", (authorization) => {
    expect(outcome("agent_manager.v1.RunService/GetRun", authorization)).toBe("admin");
  });

  test.each([
    "admin-token",
    "Basic admin-token",
    "Bearer",
    "Bearer ",
    "Beareradmin-token",
    "Bearer admin-token x",
    "Bearer admin-token, Bearer x",
    "",
  ])("%j is not", (authorization) => {
    expect(outcome("agent_manager.v1.RunService/GetRun", authorization)).toBe("UNAUTHENTICATED");
  });
});

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}
