import { readFile } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { EventKind, RunEventService, RunService, RunState } from "@agent-manager/sdk/proto";
import { Code, type Transport } from "@connectrpc/connect";
import * as node from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ApiCaller, connectCaller, grpcJsCaller, runToTheEnd } from "../support/api-caller.js";
import { type BufCurlOptions, bufCurl, parseDocuments } from "../support/buf-curl.js";
import { decodeServiceError, GrpcJsClient } from "../support/grpc-js-client.js";
import { envelope, type JsonFrame, readFrames } from "../support/json-stream.js";
import { bearer } from "../support/listener.js";
import { projectMaker, script } from "../support/scripted-run.js";
import { makeFolder, startServer, type TestServer } from "../support/server.js";
import { describeFailure } from "../support/wire-failure.js";

const ORIGIN = "https://inbox.example.com";
const UNKNOWN_ID = "0190a0b0-0000-7000-8000-000000000001";

let folder: Awaited<ReturnType<typeof makeFolder>>;
let server: TestServer;
let grpcJs: GrpcJsClient;
const makeProject = projectMaker(() => folder.path);

beforeAll(async () => {
  folder = await makeFolder();
  server = await startServer({ dataDir: join(folder.path, "data"), args: ["--allow-origin", ORIGIN] });
  grpcJs = new GrpcJsClient(server.url, server.token);
});

afterAll(async () => {
  grpcJs.close();
  await server.stop();
  await folder.remove();
});

type ConnectOptions = { readonly baseUrl: string; readonly interceptors: ReturnType<typeof bearer>[] };

const over = (transport: (options: ConnectOptions) => Transport) => () =>
  connectCaller(transport({ baseUrl: server.url, interceptors: [bearer(server.token)] }));

const callers: readonly (readonly [string, () => ApiCaller])[] = [
  ["@grpc/grpc-js", () => grpcJsCaller(grpcJs)],
  ["Connect over HTTP/1.1", over((options) => node.createConnectTransport({ ...options, httpVersion: "1.1" }))],
  [
    "Connect in JSON over HTTP/1.1",
    over((options) => node.createConnectTransport({ ...options, httpVersion: "1.1", useBinaryFormat: false })),
  ],
  ["Connect over HTTP/2", over((options) => node.createConnectTransport({ ...options, httpVersion: "2" }))],
  ["gRPC over HTTP/2", over((options) => node.createGrpcTransport(options))],
  ["gRPC-Web over HTTP/1.1", over((options) => node.createGrpcWebTransport({ ...options, httpVersion: "1.1" }))],
  ["gRPC-Web by fetch, as in a browser", over((options) => web.createGrpcWebTransport(options))],
  ["Connect by fetch, as in a browser", over((options) => web.createConnectTransport(options))],
];

test.each(callers)(
  "%s starts a run, follows it without a gap, approves it and reaches the end",
  async (name, caller) => {
    const projectRoot = await makeProject();
    const prompt = script({ say: `hello ${name}` }, { write: { path: "a.txt", content: "ONE\n" } });
    const run = await runToTheEnd(caller(), { work: { case: "task", value: { prompt, projectRoot } } });

    expect(run.frames.at(0)).toBe("opened");
    expect(run.frames.at(-1)).toBe("endOfLog");
    expect(run.events.map(({ sequence }) => Number(sequence))).toEqual(run.events.map((_, index) => index + 1));
    expect(run.lastSequence).toBe(run.events.at(-1)?.sequence);
    expect(
      run.events.every(({ runId, position, recordTime }) => runId === run.runId && position > 0n && recordTime),
    ).toBe(true);
    const texts = run.events.flatMap(({ event }) => (event.case === "message" ? [event.value.text] : []));
    expect(texts).toContain(`hello ${name}`);
    const states = run.events.flatMap(({ event }) => (event.case === "runStateChanged" ? [event.value.to] : []));
    expect(states.at(-1)).toBe(RunState.COMPLETED);
    expect(run.applied).toEqual(["a.txt"]);
    expect(await readFile(join(projectRoot, "a.txt"), "utf8")).toBe("ONE\n");
  },
);

async function startSleeper(): Promise<string> {
  const prompt = script({ say: "awake" }, { sleep_ms: 60_000 });
  const run = await server.am.runs.start({ task: { prompt, projectRoot: await makeProject() } });
  return run.id;
}

async function endingOf(
  stream: AsyncIterable<unknown>,
): Promise<{ readonly messages: number; readonly error: unknown }> {
  let messages = 0;
  try {
    for await (const _ of stream) messages += 1;
    return { messages, error: undefined };
  } catch (error) {
    return { messages, error };
  }
}

describe("a @grpc/grpc-js client", () => {
  const { watchRunEvents } = RunEventService.method;

  test("ends a watch by its deadline", async () => {
    const runId = await startSleeper();
    const { messages, error } = await endingOf(
      grpcJs.stream(watchRunEvents, { runId }, { deadline: Date.now() + 1_000 }),
    );
    expect(messages).toBeGreaterThan(0);
    expect(error).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await server.am.runs.stop({ runIds: [runId] });
  });

  test("cancels a watch, and the run goes on", async () => {
    const runId = await startSleeper();
    const stream = grpcJs.stream(watchRunEvents, { runId });
    stream.once("data", () => stream.cancel());
    expect((await endingOf(stream)).error).toMatchObject({ code: status.CANCELLED });
    const run = await server.am.runs.get(runId);
    expect([RunState.QUEUED, RunState.STARTING, RunState.RUNNING]).toContain(run.snapshot.state);
    await run.stop();
  });

  test("is told of an error in google.rpc details, of a call and of a stream", async () => {
    const unary = await grpcJs.unary(RunService.method.getRun, { runId: UNKNOWN_ID }).catch((error: unknown) => error);
    const stream = (await endingOf(grpcJs.stream(watchRunEvents, { runId: UNKNOWN_ID }))).error;
    for (const error of [unary, stream] as ServiceError[]) {
      // both calls fail: grpc-js throws nothing else
      expect(error.code).toBe(status.NOT_FOUND);
      const failure = { code: "NotFound", reason: "RUN_NOT_FOUND", metadata: { run_id: UNKNOWN_ID } };
      expect(describeFailure(decodeServiceError(error))).toMatchObject(failure);
    }
  });

  test("is told which fields are wrong", async () => {
    const call = grpcJs.unary(RunService.method.getRun, { runId: "no-id" });
    const error = (await call.catch((reason: unknown) => reason)) as ServiceError; // grpc-js throws nothing else
    expect(describeFailure(decodeServiceError(error))).toMatchObject({ reason: "INVALID_REQUEST", fields: ["run_id"] });
  });

  test("without a token is unauthenticated", async () => {
    const stranger = new GrpcJsClient(server.url, "");
    const error = await stranger.unary(RunService.method.listRuns, {}).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: status.UNAUTHENTICATED });
    stranger.close();
  });
});

describe.each(["grpc-v1", "grpc-v1alpha"] as const)("buf curl with %s reflection only", (reflection) => {
  const curl = (options: Partial<BufCurlOptions>) =>
    bufCurl({ url: server.url, token: server.token, reflection, ...options });

  test("lists services and methods", async () => {
    const services = await curl({ args: ["--list-services"] });
    expect(services.stdout.split("\n")).toEqual(
      expect.arrayContaining([
        "agent_manager.v1.RunService",
        "agent_manager.v1.RunEventService",
        "grpc.health.v1.Health",
      ]),
    );
    const methods = await curl({ args: ["--list-methods"] });
    expect(methods.stdout).toContain("agent_manager.v1.RunService/CreateRun");
    expect(methods.stdout).toContain("agent_manager.v1.RunEventService/WatchRunEvents");
  });

  test("creates a profile, starts a run with it and streams its events to the end", async () => {
    const key = `fixer-${reflection}`;
    const profile = await curl({
      method: "AgentProfileService/CreateAgentProfile",
      data: { profile: { key, config: { runner: "claude-code", maxTurns: 7 } } },
    });
    expect(profile).toMatchObject({ exitCode: 0, stderr: "" });

    const task = { prompt: script({ say: "hello from buf" }), projectRoot: await makeProject() };
    const created = await curl({ method: "RunService/CreateRun", data: { task, profileKey: key } });
    const { run } = JSON.parse(created.stdout);
    expect(run).toMatchObject({ config: { maxTurns: 7 }, prompt: task.prompt });

    const watch = await curl({ method: "RunEventService/WatchRunEvents", data: { runId: run.runId } });
    expect(watch).toMatchObject({ exitCode: 0, stderr: "" });
    const frames = parseDocuments(watch.stdout);
    expect(frames.at(0)).toHaveProperty("opened.logId");
    expect(frames.at(-1)).toHaveProperty("endOfLog.lastSequence");
    expect(watch.stdout).toContain("hello from buf");
  });

  test("without a token learns nothing", async () => {
    const result = await curl({ token: "", args: ["--list-services"] });
    expect(result).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringContaining("not authenticated") });
  });

  test("without a token at the call ends with the code of UNAUTHENTICATED", async () => {
    const result = await curl({ callToken: "", method: "RunService/ListRuns", data: {} });
    expect(result).toMatchObject({ exitCode: Code.Unauthenticated << 3, stdout: "" });
    expect(JSON.parse(result.stderr)).toMatchObject({
      code: "unauthenticated",
      message: expect.stringContaining("<data-dir>/token"),
    });
  });
});

interface Post {
  readonly method: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

function post({ method, body, headers = {} }: Post): Promise<Response> {
  return fetch(`${server.url}/agent_manager.v1.${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.token}`, "content-type": "application/json", ...headers },
    body: body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body),
  });
}

describe("plain JSON over HTTP/1.1, as curl sends it,", () => {
  async function startRun(prompt: string): Promise<string> {
    const task = { prompt, projectRoot: await makeProject() };
    const response = await post({ method: "RunService/CreateRun", body: { task } });
    expect(response.status).toBe(200);
    return (await response.json()).run.runId;
  }

  async function watch(
    runId: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<AsyncGenerator<JsonFrame>> {
    const response = await post({
      method: "RunEventService/WatchRunEvents",
      body: envelope({ runId }),
      headers: { "content-type": "application/connect+json", ...headers },
    });
    expect(response.headers.get("content-type")).toBe("application/connect+json");
    if (response.body === null) throw new Error("the answer has no body");
    return readFrames(response.body);
  }

  test("starts a run and reads it", async () => {
    const runId = await startRun(script({ say: "hi" }));
    const response = await post({ method: "RunService/GetRun", body: { runId } });
    expect(await response.json()).toMatchObject({ run: { runId, config: { runner: "claude-code" } } });
  });

  test("reads a run by GET, which caches and browsers can repeat", async () => {
    const query = new URLSearchParams({
      encoding: "json",
      message: JSON.stringify({ runId: UNKNOWN_ID }),
      connect: "v1",
    });
    const response = await fetch(`${server.url}/agent_manager.v1.RunService/GetRun?${query}`, {
      headers: { authorization: `Bearer ${server.token}` },
    });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "not_found" });
  });

  test("streams real events as they happen", async () => {
    const runId = await startRun(script({ say: "streamed" }, { sleep_ms: 500 }));
    const events: { sequence: string; message?: { text: string } }[] = [];
    let live = false;
    let end: unknown;
    for await (const { last, content } of await watch(runId)) {
      const batch = (content.batch as { events?: typeof events } | undefined)?.events ?? []; // as the API says
      events.push(...batch);
      if (batch.some(({ message }) => message?.text === "streamed")) {
        live = (await server.am.runs.get(runId)).snapshot.state === RunState.RUNNING;
      }
      if (last) end = content;
    }
    expect(events.map(({ sequence }) => Number(sequence))).toEqual(events.map((_, index) => index + 1));
    expect(live).toBe(true);
    expect(end).toEqual({});
  });

  test("streams only the kinds asked for", async () => {
    const runId = await startRun(script({ say: "only this" }));
    const response = await post({
      method: "RunEventService/WatchRunEvents",
      body: envelope({ runId, kinds: [`EVENT_KIND_${EventKind[EventKind.MESSAGE]}`] }),
      headers: { "content-type": "application/connect+json" },
    });
    const text = await response.text();
    expect(text).toContain("only this");
    expect(text).not.toContain("runStateChanged");
  });

  test("gets a deadline kept by the server", async () => {
    const runId = await startSleeper();
    const frames: JsonFrame[] = [];
    for await (const frame of await watch(runId, { "connect-timeout-ms": "700" })) frames.push(frame);
    expect(frames.at(0)?.content).toHaveProperty("opened");
    expect(frames.at(-1)).toMatchObject({ last: true, content: { error: { code: "deadline_exceeded" } } });
    await server.am.runs.stop({ runIds: [runId] });
  });

  test("is told of an error with its reason and details", async () => {
    const response = await post({ method: "RunService/GetRun", body: { runId: UNKNOWN_ID } });
    expect(response.status).toBe(404);
    const { code, details } = await response.json();
    expect(code).toBe("not_found");
    expect(details).toEqual([expect.objectContaining({ type: "google.rpc.ErrorInfo" })]);
  });

  test("without a token is refused with 401", async () => {
    const response = await post({ method: "RunService/ListRuns", body: {}, headers: { authorization: "" } });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ code: "unauthenticated" });
  });
});

describe("a browser", () => {
  interface Asked {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
  }

  /** fetch sets Host and Origin itself; this sends what a browser would. */
  function ask({ method, path, headers }: Asked): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = httpRequest(`${server.url}/${path}`, { method, headers }, (response) => {
        response.resume();
        resolve(response);
      });
      request.on("error", reject);
      request.end(method === "POST" ? "{}" : undefined);
    });
  }

  const path = "agent_manager.v1.RunService/ListRuns";
  const call = (headers: Readonly<Record<string, string>>) =>
    ask({
      method: "POST",
      path,
      headers: { authorization: `Bearer ${server.token}`, "content-type": "application/json", ...headers },
    });

  test("on a foreign page is refused, with or without a token", async () => {
    const { statusCode, headers } = await call({ origin: "https://evil.example.com" });
    expect(statusCode).toBe(403);
    expect(headers).not.toHaveProperty("access-control-allow-origin");
    expect((await ask({ method: "POST", path, headers: { origin: "https://evil.example.com" } })).statusCode).toBe(403);
  });

  test("that was led here by a foreign name is refused", async () => {
    expect((await call({ host: "rebound.example.com" })).statusCode).toBe(403);
  });

  test("asking on a foreign page whether it may is told no", async () => {
    const headers = { origin: "https://evil.example.com", "access-control-request-method": "POST" };
    const response = await ask({ method: "OPTIONS", path, headers });
    expect(response.statusCode).toBe(403);
    expect(response.headers).not.toHaveProperty("access-control-allow-origin");
  });

  test("on an allowed page asks first, without a token, and then calls", async () => {
    const preflight = await ask({
      method: "OPTIONS",
      path,
      headers: {
        origin: ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,connect-protocol-version,x-grpc-web",
      },
    });
    expect(preflight.statusCode).toBe(204);
    expect(preflight.headers["access-control-allow-origin"]).toBe(ORIGIN);
    expect(preflight.headers["access-control-allow-methods"]).toContain("POST");
    const allowed = String(preflight.headers["access-control-allow-headers"]).toLowerCase();
    for (const header of ["authorization", "content-type", "connect-protocol-version", "x-grpc-web"]) {
      expect(allowed).toContain(header);
    }
    const response = await call({ origin: ORIGIN });
    expect(response.statusCode).toBe(200);
    expect(response.headers["access-control-allow-origin"]).toBe(ORIGIN);
    expect(String(response.headers["access-control-expose-headers"]).toLowerCase()).toContain("grpc-status");
  });
});
