import { RunService, TaskService } from "@agent-manager/sdk/proto";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  collect,
  grpcTransport,
  someId,
  startListener,
  type TestListener,
  tokens,
} from "../../../test/support/listener.js";
import { DomainError } from "../domain/errors.js";

test("each call is logged once with its method, caller, code and duration, at a level that fits", async () => {
  await using server = await startListener({
    tasks: {
      createTask: () => ({}),
      cancelTask: () => {
        throw new DomainError("TASK_NOT_FOUND", { task_id: someId });
      },
      deleteTask: () => {
        throw new Error("a bug");
      },
    },
    runs: {
      async *watchRun() {
        yield {};
        await new Promise(() => undefined);
      },
    },
  });
  const tasks = createClient(TaskService, grpcTransport(server.url));
  await tasks.getTask({ taskId: someId });
  await tasks.createTask({ task: { prompt: "p", projectRoot: "/p" } });
  await tasks.cancelTask({ taskId: someId }).catch(() => undefined);
  await tasks.deleteTask({ taskId: someId }).catch(() => undefined);
  await collect(
    createClient(RunService, grpcTransport(server.url)).watchRun({ runId: someId }, { timeoutMs: 100 }),
  ).catch(() => undefined);
  await createClient(TaskService, grpcTransport(server.url, ""))
    .getTask({ taskId: someId })
    .catch(() => undefined);
  await createClient(RunService, grpcTransport(server.url, tokens.viewer))
    .stopRun({ runId: someId })
    .catch(() => undefined);

  await expect
    .poll(() => ended(server))
    .toEqual([
      { level: "debug", method: "GetTask", principal: "a-admin", code: "ok" },
      { level: "info", method: "CreateTask", principal: "a-admin", code: "ok" },
      { level: "warn", method: "CancelTask", principal: "a-admin", code: "not_found" },
      { level: "error", method: "DeleteTask", principal: "a-admin", code: "internal" },
      {
        level: "debug",
        method: "WatchRun",
        principal: "a-admin",
        code: expect.stringMatching(/^(deadline_exceeded|canceled)$/),
      }, // by whose clock ran out first
    ]);
  const refused = server.logs.filter(({ msg }) => msg === "call refused");
  expect(refused.map(({ reason }) => reason)).toEqual(["UNAUTHENTICATED", "ROLE_REQUIRED"]);
  expect(JSON.stringify(server.logs)).not.toContain(tokens.admin);
});

function ended(server: TestListener) {
  return server.logs
    .filter(({ msg }) => msg === "call ended")
    .map(({ level, method, principal, code, duration_ms }) => {
      expect(duration_ms).toEqual(expect.any(Number));
      return { level: levels.get(level), method: String(method).split("/")[1], principal, code };
    });
}

const levels = new Map<unknown, string>([
  [20, "debug"],
  [30, "info"],
  [40, "warn"],
  [50, "error"],
]);
