import { ServerReflectionV1, ServerReflectionV1Alpha } from "@agent-manager/sdk/reflection";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { collect, grpcTransport, startListener, type TestListener, tokens } from "../../../test/support/listener.js";

let server: TestListener;
beforeAll(async () => {
  server = await startListener();
});
afterAll(() => server[Symbol.asyncDispose]());

type Question = NonNullable<
  MessageInitShape<(typeof ServerReflectionV1)["method"]["serverReflectionInfo"]["input"]>["messageRequest"]
>;

describe.each([
  ["v1", ServerReflectionV1],
  ["v1alpha", ServerReflectionV1Alpha],
])("reflection %s", (_version, service) => {
  async function ask(...questions: readonly Question[]) {
    // Both versions have the same messages under two packages.
    const client = createClient(service as typeof ServerReflectionV1, grpcTransport(server.url, tokens.viewer));
    async function* requests() {
      for (const messageRequest of questions) yield { host: "here", messageRequest };
    }
    return (await collect(client.serverReflectionInfo(requests()))).map(({ messageResponse }) => messageResponse);
  }

  async function askFiles(...questions: readonly Question[]) {
    return (await ask(...questions)).map((answer) =>
      answer.case === "fileDescriptorResponse"
        ? answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
        : [],
    );
  }

  test("lists every service", async () => {
    const [answer] = await ask({ case: "listServices", value: "" });
    const names = answer?.case === "listServicesResponse" ? answer.value.service.map(({ name }) => name) : [];
    expect(names.toSorted()).toEqual([
      "agent_manager.v1.AgentProfileService",
      "agent_manager.v1.PolicyService",
      "agent_manager.v1.RunEventService",
      "agent_manager.v1.RunService",
      "agent_manager.v1.RunnerService",
      "agent_manager.v1.TaskService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });

  test("sends a file first, then all that it imports, each once", async () => {
    const [files = []] = await askFiles({ case: "fileContainingSymbol", value: "agent_manager.v1.RunService" });
    const names = files.map(({ name }) => name);
    expect(names[0]).toBe("agent_manager/v1/run_service.proto");
    expect(files[0]?.service[0]?.method.length).toBeGreaterThan(10);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(files.flatMap(({ dependency }) => dependency)));
  });

  test.each([
    ["a method", "agent_manager.v1.TaskService.GetTask", "agent_manager/v1/task_service.proto"],
    ["a message", "agent_manager.v1.Run", "agent_manager/v1/run.proto"],
    ["a field", "agent_manager.v1.Run.run_id", "agent_manager/v1/run.proto"],
    ["an enum value", "agent_manager.v1.RUN_STATE_QUEUED", "agent_manager/v1/run.proto"],
    ["a nested enum", "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
    ["a detail of an error", "google.rpc.ErrorInfo", "google/rpc/error_details.proto"],
    ["an extension", "buf.validate.field", "buf/validate/validate.proto"],
  ])("finds the file of %s", async (_what, symbol, name) => {
    const [file] = await askFiles({ case: "fileContainingSymbol", value: symbol });
    expect(file?.[0]?.name).toBe(name);
  });

  test("sends each file once per stream, but again when it is asked for by name", async () => {
    const question: Question = { case: "fileByFilename", value: "agent_manager/v1/task.proto" };
    const [first = [], second = [], third = []] = await askFiles(question, question, {
      case: "fileByFilename",
      value: "agent_manager/v1/task_service.proto",
    });
    expect(first.length).toBeGreaterThan(2);
    expect(second.map(({ name }) => name)).toEqual(["agent_manager/v1/task.proto"]);
    // validate.proto, which both import, is not sent again.
    expect(third.map(({ name }) => name)).toEqual(["agent_manager/v1/task_service.proto"]);
  });

  test("finds extensions by number", async () => {
    const [file] = await askFiles({
      case: "fileContainingExtension",
      value: { containingType: "google.protobuf.FieldOptions", extensionNumber: 1159 },
    });
    expect(file?.[0]?.name).toBe("buf/validate/validate.proto");
    const [numbers] = await ask({ case: "allExtensionNumbersOfType", value: "google.protobuf.FieldOptions" });
    expect(numbers).toMatchObject({ value: { extensionNumber: [1159, 1160] } });
  });

  test.each<Question>([
    { case: "fileByFilename", value: "nope.proto" },
    { case: "fileContainingSymbol", value: "nope.Nope" },
    { case: "fileContainingExtension", value: { containingType: "nope.Nope", extensionNumber: 1 } },
    { case: "allExtensionNumbersOfType", value: "nope.Nope" },
  ])("answers NOT_FOUND and goes on: $case", async (question) => {
    const [answer, next] = await ask(question, { case: "listServices", value: "" });
    expect(answer).toMatchObject({ case: "errorResponse", value: { errorCode: Code.NotFound } });
    expect(next?.case).toBe("listServicesResponse");
  });
});
