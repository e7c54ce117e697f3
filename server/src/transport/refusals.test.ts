import { request as http1Request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  Health,
  RetryInfoSchema,
  RunService,
  TaskService,
} from "@agent-manager/sdk/proto";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { compressionGzip, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  bearer,
  collect,
  someId,
  startListener,
  type TestListener,
  tokens,
  transports,
} from "../../../test/support/listener.js";
import { DomainError } from "../domain/errors.js";

let server: TestListener;
let entered = 0;

beforeAll(async () => {
  server = await startListener({
    allowedHosts: ["agents.example.com"],
    allowedOrigins: ["https://inbox.example.com"],
    tasks: {
      createTask: () => {
        entered += 1;
        return {};
      },
      updateTask: () => {
        throw new DomainError("DATABASE_UNAVAILABLE", {}, { retryAfterMs: 1_500 });
      },
      deleteTask: () => {
        throw new Error("duplicate key in /var/lib/secret: INSERT INTO task");
      },
    },
    runs: {
      // biome-ignore lint/correctness/useYield: it must not be entered
      async *watchRun() {
        entered += 1;
      },
    },
  });
});
afterAll(() => server[Symbol.asyncDispose]());

describe("a caller without a right", () => {
  test.each([...transports("http://unused").keys()])("is refused in the words of %s", async (name) => {
    const client = createClient(TaskService, transport(name, ""));
    const error = await failure(client.getTask({ taskId: someId }));
    expect(error).toMatchObject({ code: Code.Unauthenticated });
    expect(error.rawMessage).toContain("<data-dir>/token");
    expect(reasonOf(error)).toBe("UNAUTHENTICATED");
  });

  test.each([...transports("http://unused").keys()])("opens no stream with %s", async (name) => {
    const before = entered;
    const client = createClient(RunService, transport(name, "a-wrong-token"));
    const error = await failure(collect(client.watchRun({ runId: someId })));
    expect(reasonOf(error)).toBe("UNAUTHENTICATED");
    expect(entered).toBe(before);
  });

  test("is told which roles may", async () => {
    const before = entered;
    const client = createClient(TaskService, transport("gRPC over HTTP/2", tokens.viewer));
    const error = await failure(client.createTask({ task: { prompt: "p", projectRoot: "/p" } }));
    expect(error).toMatchObject({ code: Code.PermissionDenied });
    expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({
      reason: "ROLE_REQUIRED",
      domain: "agent-manager",
      metadata: { role: "viewer", principal: "a-viewer", allowed: "operator, admin" },
    });
    expect(entered).toBe(before);
  });

  test("is refused before the body of the request is read", async () => {
    const status = await new Promise((resolve, reject) => {
      const request = http1Request(`${server.url}/agent_manager.v1.TaskService/CreateTask`, {
        method: "POST",
        headers: { "content-type": "application/json", "content-length": "1000000" },
      });
      request.on("response", ({ statusCode }) => {
        resolve(statusCode);
        request.destroy();
      });
      request.on("error", reject);
      request.write("{"); // and never the rest
    });
    expect(status).toBe(401);
  });

  test("may ask for health", async () => {
    const client = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
    expect(await client.check({})).toBeDefined();
  });
});

describe("a request that is wrong", () => {
  const admin = () => createClient(TaskService, transport("gRPC over HTTP/2", tokens.admin));

  test("is refused with its fields", async () => {
    const error = await failure(admin().createTask({ task: { prompt: "p", projectRoot: "relative" } }));
    expect(error).toMatchObject({ code: Code.InvalidArgument });
    expect(reasonOf(error)).toBe("INVALID_REQUEST");
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([
      { field: "task.project_root", description: "must be an absolute path" },
    ]);
    expect(error.rawMessage).toContain("task.project_root: must be an absolute path");
  });

  test.each([...transports("http://unused").keys()])("is refused if it is too large over %s", async (name) => {
    const client = createClient(TaskService, transport(name, tokens.admin));
    const error = await failure(
      client.createTask({ task: { prompt: "x".repeat(5 * 1024 * 1024), projectRoot: "/p" } }),
    );
    expect(error).toMatchObject({ code: Code.ResourceExhausted });
    expect(reasonOf(error)).toBe("MESSAGE_TOO_LARGE");
  });

  test("is refused if it is compressed", async () => {
    const compressing = createGrpcTransport({
      baseUrl: server.url,
      sendCompression: compressionGzip,
      compressMinBytes: 0,
      interceptors: [bearer(tokens.admin)],
    });
    const error = await failure(createClient(TaskService, compressing).getTask({ taskId: someId }));
    expect(error).toMatchObject({ code: Code.Unimplemented });
  });
});

describe("an error of a handler", () => {
  const admin = (name: string) => createClient(TaskService, transport(name, tokens.admin));

  test.each([...transports("http://unused").keys()])("keeps its reason and delay over %s", async (name) => {
    const error = await failure(admin(name).updateTask({ task: {} }));
    expect(error).toMatchObject({ code: Code.Unavailable });
    expect(reasonOf(error)).toBe("DATABASE_UNAVAILABLE");
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
  });

  test("that nobody foresaw is logged under the id that the caller is told, and nothing else is told", async () => {
    const error = await failure(admin("gRPC over HTTP/2").deleteTask({ taskId: someId }));
    expect(error).toMatchObject({ code: Code.Internal });
    expect(error.rawMessage).not.toMatch(/secret|INSERT/);
    const [info] = error.findDetails(ErrorInfoSchema);
    expect(info?.reason).toBe("INTERNAL");
    const logged = server.logs.find(({ error_id }) => error_id === info?.metadata.error_id);
    expect(JSON.stringify(logged)).toMatch(/duplicate key.*refusals\.test/);
  });

  test("of a method that a service lacks is NOT_IMPLEMENTED", async () => {
    const error = await failure(admin("gRPC over HTTP/2").cancelTask({ taskId: someId }));
    expect(reasonOf(error)).toBe("NOT_IMPLEMENTED");
  });
});

describe("a foreign name", () => {
  test.each(["evil.example.com", "127.0.0.1.evil.example.com", "0.0.0.0"])("in Host is refused: %s", async (host) => {
    const { status, body } = await post({ host });
    expect(status).toBe(403);
    expect(body).toContain("HOST_NOT_ALLOWED");
  });

  test("in :authority of HTTP/2 is refused", async () => {
    expect(await statusOverHttp2({ ":authority": "evil.example.com" })).toBe(403);
  });

  test("in host beside a good :authority is refused", async () => {
    expect(await statusOverHttp2({ ":authority": `127.0.0.1:${server.port}`, host: "evil.example.com" })).toBe(403);
  });

  test("that is configured is served", async () => {
    expect(await post({ host: "Agents.Example.com.:8443" })).toMatchObject({ status: 200 });
  });

  test.each(["https://evil.example.com", "null", "http://127.0.0.1"])("in Origin is refused: %s", async (origin) => {
    expect(await post({ origin })).toMatchObject({ status: 403 });
  });

  test("is refused on health and unknown paths alike", async () => {
    expect(await post({ host: "evil.example.com", path: "/grpc.health.v1.Health/Check" })).toMatchObject({
      status: 403,
    });
    expect(await post({ host: "evil.example.com", path: "/" })).toMatchObject({ status: 403 });
  });
});

describe("a page of an allowed origin", () => {
  const origin = "https://inbox.example.com";

  test("may call, and sees what gRPC-Web needs", async () => {
    const { status, headers } = await post({ origin });
    expect(status).toBe(200);
    expect(headers["access-control-allow-origin"]).toBe(origin);
    expect(headers["access-control-expose-headers"]).toMatch(/grpc-status/i);
  });

  test("is told beforehand that it may send its token", async () => {
    const { status, headers } = await post({ origin, method: "OPTIONS" });
    expect(status).toBe(204);
    expect(headers["access-control-allow-headers"]).toMatch(/authorization/i);
  });
});

function transport(name: string, token: string): Transport {
  const found = transports(server.url, token).get(name);
  if (found === undefined) throw new Error(`no transport ${name}`);
  return found;
}

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error),
  );
  if (outcome === undefined) throw new Error("the call did not fail");
  return outcome;
}

function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

interface Post {
  readonly host?: string;
  readonly origin?: string;
  readonly method?: string;
  readonly path?: string;
}

/** fetch lets nobody choose the Host header. */
function post({ host = "localhost", origin, method = "POST", path = "/agent_manager.v1.TaskService/GetTask" }: Post) {
  const headers = { host, authorization: `Bearer ${tokens.admin}`, "content-type": "application/json" };
  return new Promise<{ status: number | undefined; headers: Record<string, unknown>; body: string }>(
    (resolve, reject) => {
      const request = http1Request({
        port: server.port,
        path,
        method,
        headers: { ...headers, ...(origin && { origin }) },
      });
      request.on("error", reject);
      request.on("response", async (response) => {
        const body = Buffer.concat(await response.toArray()).toString();
        resolve({ status: response.statusCode, headers: response.headers, body });
      });
      request.end(JSON.stringify({ taskId: someId }));
    },
  );
}

async function statusOverHttp2(headers: Record<string, string>): Promise<number | undefined> {
  const session = connectHttp2(server.url);
  try {
    const stream = session.request({ ":method": "POST", ":path": "/grpc.health.v1.Health/Check", ...headers });
    stream.end();
    return await new Promise((resolve, reject) => {
      stream.on("response", (answer) => resolve(answer[":status"]));
      stream.on("error", reject);
    });
  } finally {
    session.close();
  }
}
