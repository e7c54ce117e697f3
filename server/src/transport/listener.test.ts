import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { GetTaskRequestSchema, GetTaskResponseSchema, RunService, TaskService } from "@agent-manager/sdk/proto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  collect,
  someId,
  startListener,
  type TestListener,
  tokens,
  transports,
} from "../../../test/support/listener.js";

describe("one port", () => {
  let server: TestListener;

  beforeAll(async () => {
    server = await startListener({ runs: { watchRun: countTurns } });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test.each([...transports("http://unused").keys()])("answers %s", async (name) => {
    const transport = transports(server.url).get(name);
    if (transport === undefined) throw new Error("no such transport");
    const { task } = await createClient(TaskService, transport).getTask({ taskId: someId });
    expect(task).toMatchObject({ taskId: someId, title: "a-admin" });
    expect(await collect(createClient(RunService, transport).watchRun({ runId: someId }))).toHaveLength(3);
  });

  test("answers Connect JSON to fetch", async () => {
    const response = await fetch(`${server.url}/agent_manager.v1.TaskService/GetTask`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${tokens.viewer}` },
      body: JSON.stringify({ taskId: someId }),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ task: { taskId: someId, title: "a-viewer" } });
  });

  test("answers grpc-js", async () => {
    expect(await getTaskWithGrpcJs(server.port, tokens.operator)).toMatchObject({
      task: { taskId: someId, title: "a-operator" },
    });
  });

  test.each(["grpc-v1", "grpc-v1alpha"])(
    "answers buf curl, which learns the API by %s reflection",
    async (reflection) => {
      const output = await bufCurl([
        ...["--protocol", "grpc", "--http2-prior-knowledge", "--reflect", "--reflect-protocol", reflection],
        ...[
          "--header",
          `authorization: Bearer ${tokens.admin}`,
          "--reflect-header",
          `authorization: Bearer ${tokens.admin}`,
        ],
        ...["--data", JSON.stringify({ taskId: someId }), `${server.url}/agent_manager.v1.TaskService/GetTask`],
      ]);
      expect(JSON.parse(output)).toEqual({ task: { taskId: someId, title: "a-admin" } });
    },
  );

  test("says of an unknown method that it is not implemented", async () => {
    const response = await fetch(`${server.url}/agent_manager.v1.TaskService/Nope`, { method: "POST" });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "unimplemented" });
  });
});

async function* countTurns({ runId }: { readonly runId: string }) {
  for (let turn = 0; turn < 3; turn += 1) yield { run: { runId, turns: turn } };
}

function getTaskWithGrpcJs(port: number, token: string): Promise<unknown> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      "/agent_manager.v1.TaskService/GetTask",
      (taskId: string) => Buffer.from(toBinary(GetTaskRequestSchema, create(GetTaskRequestSchema, { taskId }))),
      (bytes) => fromBinary(GetTaskResponseSchema, bytes),
      someId,
      metadata,
      (error, response) => (error === null ? resolve(response) : reject(error)),
    );
  }).finally(() => client.close());
}

async function bufCurl(args: readonly string[]): Promise<string> {
  const buf = fileURLToPath(new URL("../../../node_modules/.bin/buf", import.meta.url));
  const { stdout } = await promisify(execFile)(buf, ["curl", ...args]);
  return stdout;
}
