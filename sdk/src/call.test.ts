import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AgentManager } from "./agent-manager.js";
import { NotFoundError, TimeoutError, UnavailableError } from "./errors.js";
import { TaskService } from "./gen/agent_manager/v1/task_service_pb.js";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

const task = { prompt: "fix it", projectRoot: "/projects/app" };

function clientOf(implementation: Parameters<typeof createRouterTransport>[0]) {
  return new AgentManager({ transport: createRouterTransport(implementation), close: () => {} });
}

test("a write that meets an unavailable service is repeated with the same request id", async () => {
  const ids: string[] = [];
  const am = clientOf(({ service }) => {
    service(TaskService, {
      createTask: ({ requestId }) => {
        ids.push(requestId);
        if (ids.length < 3) {
          throw new ConnectError("leaving", Code.Unavailable);
        }
        return { task: { taskId: "t" } };
      },
    });
  });
  await expect(am.tasks.create(task)).resolves.toMatchObject({ taskId: "t" });
  expect(ids).toHaveLength(3);
  expect(new Set(ids).size).toBe(1);
  expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
});

test("the caller's request id is sent as it is", async () => {
  let seen = "";
  const am = clientOf(({ service }) => {
    service(TaskService, {
      createTask: ({ requestId }) => {
        seen = requestId;
        return { task: {} };
      },
    });
  });
  await am.tasks.create(task, { requestId: "issue-42" });
  expect(seen).toBe("issue-42");
});

test("a refusal is not repeated", async () => {
  let calls = 0;
  const am = clientOf(({ service }) => {
    service(TaskService, {
      getTask: () => {
        calls++;
        throw new ConnectError("there is no task", Code.NotFound, undefined, [
          { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason: "TASK_NOT_FOUND" }) },
        ]);
      },
    });
  });
  await expect(am.tasks.get("x")).rejects.toBeInstanceOf(NotFoundError);
  expect(calls).toBe(1);
});

test("a service that stays away is reported after the last attempt", async () => {
  let calls = 0;
  const am = new AgentManager({
    maxRetries: 2,
    close: () => {},
    transport: createRouterTransport(({ service }) => {
      service(TaskService, {
        getTask: () => {
          calls++;
          throw new ConnectError("leaving", Code.Unavailable);
        },
      });
    }),
  });
  await expect(am.tasks.get("x")).rejects.toBeInstanceOf(UnavailableError);
  expect(calls).toBe(3);
});

test("a deletion whose first answer was lost succeeds", async () => {
  const allowed: boolean[] = [];
  const am = clientOf(({ service }) => {
    service(TaskService, {
      deleteTask: ({ allowMissing }) => {
        allowed.push(allowMissing);
        if (allowed.length === 1) {
          throw new ConnectError("cut", Code.Aborted);
        }
        return {};
      },
    });
  });
  await am.tasks.delete("x");
  expect(allowed).toEqual([false, true]);
});

test("an aborted call rejects with the signal's reason, a slow one with a timeout", async () => {
  const am = clientOf(({ service }) => {
    service(TaskService, { getTask: (_, { signal }) => new Promise((_, reject) => aborts(signal, reject)) });
  });
  const controller = new AbortController();
  const reason = new Error("enough");
  setTimeout(() => controller.abort(reason), 20);
  await expect(am.tasks.get("x", { signal: controller.signal })).rejects.toBe(reason);
  await expect(am.tasks.get("x", { timeoutMs: 30 })).rejects.toBeInstanceOf(TimeoutError);
});

test("an update names the given fields in its mask", async () => {
  let paths: readonly string[] = [];
  const am = clientOf(({ service }) => {
    service(TaskService, {
      updateTask: ({ updateMask }) => {
        paths = updateMask?.paths ?? [];
        return { task: {} };
      },
    });
  });
  await am.tasks.update("x", { title: "t", scopePaths: ["src"] });
  expect(paths).toEqual(["title", "scope_paths"]);
});

function aborts(signal: AbortSignal, reject: (reason: unknown) => void): void {
  signal.addEventListener("abort", () => reject(signal.reason));
}
