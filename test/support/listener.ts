import { RunService, TaskService } from "@agent-manager/sdk/proto";
import type { Interceptor, ServiceImpl, Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { pino } from "pino";
import type { Role } from "../../server/src/domain/principal.js";
import { principalKey } from "../../server/src/security/principal-context.js";
import { type Authenticator, createAuthenticator, sha256 } from "../../server/src/security/principals.js";
import { HealthState, registerHealth } from "../../server/src/transport/health.js";
import { createListener, type Listener, type ListenerOptions } from "../../server/src/transport/listener.js";
import { registerReflection } from "../../server/src/transport/reflection.js";

/** A token for each role. */
export const tokens: Readonly<Record<Role, string>> = {
  viewer: "token-of-the-viewer",
  operator: "token-of-the-operator",
  reviewer: "token-of-the-reviewer",
  admin: "token-of-the-admin",
};

/** An id that the requests' rules accept. */
export const someId = "0190a0b0-0000-7000-8000-000000000001";

export interface TestListener extends AsyncDisposable {
  readonly listener: Listener;
  readonly url: string;
  readonly port: number;
  readonly health: HealthState;
  /** What the server logged, oldest first. */
  readonly logs: readonly Record<string, unknown>[];
}

export interface TestListenerOptions extends Partial<Omit<ListenerOptions, "routes" | "log">> {
  readonly tasks?: Partial<ServiceImpl<typeof TaskService>>;
  readonly runs?: Partial<ServiceImpl<typeof RunService>>;
}

/** Listens on a free port of the loopback address with small fake services, health and reflection. */
export async function startListener({ tasks, runs, ...options }: TestListenerOptions = {}): Promise<TestListener> {
  const health = new HealthState();
  const logs: Record<string, unknown>[] = [];
  const log = pino({ level: "trace" }, { write: (line: string) => void logs.push(JSON.parse(line)) });
  const listener = createListener({
    authenticator: roleAuthenticator,
    ...options,
    log,
    routes(router) {
      router.service(TaskService, { getTask: echoTask, ...tasks });
      router.service(RunService, { ...runs });
      registerHealth(router, health);
      registerReflection(router);
    },
  });
  const { url, port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  return { listener, url, port, health, logs, [Symbol.asyncDispose]: () => listener.close({ graceMs: 0 }) };
}

/** Every way to call: each protocol over each HTTP version that it works on. */
export function transports(url: string, token = tokens.admin): ReadonlyMap<string, Transport> {
  const options = { baseUrl: url, interceptors: [bearer(token)] };
  return new Map([
    ["Connect over HTTP/1.1", createConnectTransport({ ...options, httpVersion: "1.1" })],
    ["Connect over HTTP/2", createConnectTransport({ ...options, httpVersion: "2" })],
    ["Connect JSON over HTTP/1.1", createConnectTransport({ ...options, httpVersion: "1.1", useBinaryFormat: false })],
    ["gRPC over HTTP/2", createGrpcTransport(options)],
    ["gRPC-Web over HTTP/1.1", createGrpcWebTransport({ ...options, httpVersion: "1.1" })],
    ["gRPC-Web over HTTP/2", createGrpcWebTransport({ ...options, httpVersion: "2" })],
  ]);
}

export function grpcTransport(url: string, token = tokens.admin): Transport {
  return createGrpcTransport({ baseUrl: url, interceptors: [bearer(token)] });
}

/** Sends a token with each call; none if it is empty. */
export function bearer(token: string): Interceptor {
  return (next) => (request) => {
    if (token !== "") request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

const roleAuthenticator: Authenticator = createAuthenticator(
  (["viewer", "operator", "reviewer", "admin"] as const).map((role) => ({
    principal: { name: `a-${role}`, role },
    sha256: sha256(tokens[role]),
  })),
);

/** Answers with the id asked for and the caller's name as title. */
const echoTask: ServiceImpl<typeof TaskService>["getTask"] = ({ taskId }, { values }) => ({
  task: { taskId, title: values.get(principalKey)?.name ?? "" },
});

/** Reads a stream to its end. */
export async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const message of messages) collected.push(message);
  return collected;
}
