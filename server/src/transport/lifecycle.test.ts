import { EventEmitter, once } from "node:events";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorInfoSchema, RunService, TaskService } from "@agent-manager/sdk/proto";
import { Code, ConnectError, createClient, type HandlerContext } from "@connectrpc/connect";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import {
  collect,
  grpcTransport,
  someId,
  startListener,
  type TestListener,
  tokens,
  transports,
} from "../../../test/support/listener.js";
import { createAuthenticator } from "../security/principals.js";
import { createListener } from "./listener.js";

const everyTransport = [...transports("http://unused").keys()];

describe("a stream", () => {
  test.each(everyTransport)("ends in its handler when the caller hangs up, over %s", async (name) => {
    const watch = endlessWatch();
    await using server = await startListener({ runs: { watchRun: watch.handler } });
    const call = new AbortController();
    const messages = runs(server, name).watchRun({ runId: someId }, { signal: call.signal })[Symbol.asyncIterator]();
    await messages.next();
    expect(watch.open).toBe(1);
    call.abort();
    await expect.poll(() => watch.open).toBe(0);
  });

  test.each(everyTransport)("ends at its deadline, over %s", async (name) => {
    const watch = endlessWatch();
    await using server = await startListener({ runs: { watchRun: watch.handler } });
    const error = await failure(collect(runs(server, name).watchRun({ runId: someId }, { timeoutMs: 200 })));
    expect(error.code).toBe(Code.DeadlineExceeded);
    await expect.poll(() => watch.open).toBe(0);
  });

  test.each(everyTransport)("ends with SERVER_SHUTTING_DOWN when the server leaves, over %s", async (name) => {
    const watch = endlessWatch();
    await using server = await startListener({ runs: { watchRun: watch.handler } });
    const received = failure(collect(runs(server, name).watchRun({ runId: someId })));
    await expect.poll(() => watch.open).toBe(1);
    await server.listener.close({ graceMs: 5_000 });
    expect(reasonOf(await received)).toBe("SERVER_SHUTTING_DOWN");
    expect((await received).code).toBe(Code.Unavailable);
  });

  test("ends with SERVER_SHUTTING_DOWN also if its handler takes the signal as the end of its messages", async () => {
    await using server = await startListener({
      runs: {
        async *watchRun(_request, { signal }) {
          yield {};
          await once(signal, "abort");
        },
      },
    });
    const received = failure(collect(runs(server).watchRun({ runId: someId })));
    await sleep(100);
    await server.listener.close({ graceMs: 5_000 });
    expect(reasonOf(await received)).toBe("SERVER_SHUTTING_DOWN");
  });

  test("ends with SERVER_SHUTTING_DOWN also if its handler does not heed its signal", async () => {
    await using server = await startListener({
      runs: {
        async *watchRun() {
          yield {};
          await new Promise(() => undefined);
        },
      },
    });
    const received = failure(collect(runs(server).watchRun({ runId: someId })));
    await sleep(200);
    const startedAt = Date.now();
    await server.listener.close({ graceMs: 5_000 });
    expect(Date.now() - startedAt).toBeLessThan(2_000);
    expect(reasonOf(await received)).toBe("SERVER_SHUTTING_DOWN");
  });
});

describe("a server that leaves", () => {
  test.each(everyTransport)("lets a unary call finish within the grace, over %s", async (name) => {
    const task = slowTask(400);
    await using server = await startListener({ tasks: { getTask: task.handler } });
    const answer = createClient(TaskService, transports(server.url).get(name) ?? grpcTransport(server.url)).getTask({
      taskId: someId,
    });
    await task.entered;
    const closed = server.listener.close({ graceMs: 5_000 });
    expect((await answer).task?.title).toBe("late");
    await closed;
  });

  test("ends a unary call that outlasts the grace", async () => {
    const task = slowTask(60_000);
    await using server = await startListener({ tasks: { getTask: task.handler } });
    const answer = failure(createClient(TaskService, grpcTransport(server.url)).getTask({ taskId: someId }));
    await task.entered;
    await server.listener.close({ graceMs: 100 });
    expect(reasonOf(await answer)).toBe("SERVER_SHUTTING_DOWN");
  });

  test("leaves also while a handler hangs for good", async () => {
    await using server = await startListener({ tasks: { getTask: () => new Promise(() => undefined) } });
    const answer = failure(createClient(TaskService, grpcTransport(server.url)).getTask({ taskId: someId }));
    await sleep(200);
    await server.listener.close({ graceMs: 100 });
    expect((await answer).code).not.toBe(Code.DeadlineExceeded);
  });

  test("frees its port, closes idle connections, and leaves once however often it is asked to", async () => {
    await using server = await startListener();
    const idle = connectTcp(server.port, "127.0.0.1");
    await once(idle, "connect");
    const ended = once(idle, "close");
    idle.resume();
    await Promise.all([server.listener.close({ graceMs: 1_000 }), server.listener.close({ graceMs: 1_000 })]);
    await ended;
    const next = createServer().listen(server.port, "127.0.0.1");
    await once(next, "listening");
    next.close();
  });

  test("follows many open streams without a warning about leaked listeners", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    // What node has by itself; vitest turns the warning off.
    const usual = EventEmitter.defaultMaxListeners;
    EventEmitter.defaultMaxListeners = 10;
    await using server = await startListener({ runs: { watchRun: endlessWatch().handler } });
    const calls = Array.from({ length: 30 }, () => new AbortController());
    const received = calls.map(({ signal }) => failure(collect(runs(server).watchRun({ runId: someId }, { signal }))));
    await sleep(300);
    for (const call of calls) call.abort();
    await Promise.all(received);
    process.off("warning", onWarning);
    EventEmitter.defaultMaxListeners = usual;
    expect(warnings.map(({ message }) => message)).toEqual([]);
  });
});

describe("an address", () => {
  test("that is taken is refused with what to do", async () => {
    await using server = await startListener();
    await expect(emptyListener().listen({ host: "127.0.0.1", port: server.port })).rejects.toThrow(
      /port is taken; stop the program .* --listen HOST:PORT/,
    );
  });

  test.each(["0.0.0.0", "::"])("outside the machine is refused without TLS: %s", async (host) => {
    await expect(emptyListener().listen({ host, port: 0 })).rejects.toThrow(/without TLS.*certificate/);
  });

  test("that does not exist is refused with what to do", async () => {
    await expect(emptyListener().listen({ host: "no.such.host.invalid", port: 0 })).rejects.toThrow(
      /use for example 127\.0\.0\.1/,
    );
  });
});

describe("a connection", () => {
  test.each([
    ["noise", Buffer.from([0x16, 0x03, 0x01, 0x00, 0xff, 0x00])],
    ["half a request", Buffer.from("POST /x HTTP/1.1\r\nHost: local")],
    ["half a preface", Buffer.from("PRI * HT")],
    ["a preface and noise", Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.alloc(100, 0xff)])],
    ["a preface of another version", Buffer.from("PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n")],
    ["a header that never ends", Buffer.from(`GET / HTTP/1.1\r\nX: ${"x".repeat(100_000)}`)],
    ["nothing", Buffer.alloc(0)],
  ])("that brings %s and breaks does not disturb the others", async (_name, bytes) => {
    await using server = await startListener();
    const socket = await open(server);
    socket.write(bytes);
    await sleep(50);
    socket.resetAndDestroy();
    const { task } = await createClient(TaskService, grpcTransport(server.url)).getTask({ taskId: someId });
    expect(task?.taskId).toBe(someId);
  });

  test("may bring its first bytes one by one", async () => {
    await using server = await startListener();
    const socket = await open(server);
    socket.setNoDelay();
    for (const byte of "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: localhost\r\n") {
      socket.write(byte);
      await sleep(1);
    }
    socket.write("Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    expect(Buffer.concat(await socket.toArray()).toString()).toMatch(/^HTTP\/1.1 200/);
  });

  test("is closed when an HTTP/2 caller closes its side", async () => {
    await using server = await startListener();
    const socket = connectTcp({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
    socket.resume();
    // The preface and an empty SETTINGS frame.
    socket.write(
      Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]),
    );
    await once(socket, "data");
    socket.end();
    await once(socket, "close");
  }, 5_000);
});

function runs(server: TestListener, name = "gRPC over HTTP/2") {
  return createClient(RunService, transports(server.url, tokens.viewer).get(name) ?? grpcTransport(server.url));
}

/** Yields once and then waits for its signal; counts the calls that are open. */
function endlessWatch() {
  const watch = {
    open: 0,
    async *handler({ runId }: { readonly runId: string }, { signal }: HandlerContext) {
      watch.open += 1;
      try {
        yield { run: { runId } };
        await sleep(60_000, undefined, { signal });
      } finally {
        watch.open -= 1;
      }
    },
  };
  return watch;
}

function slowTask(durationMs: number) {
  let enter: () => void = () => undefined;
  const entered = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const handler = async (_request: unknown, { signal }: HandlerContext) => {
    enter();
    await sleep(durationMs, undefined, { signal });
    return { task: { title: "late" } };
  };
  return { entered, handler };
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

function emptyListener() {
  return createListener({
    routes: () => undefined,
    authenticator: createAuthenticator([]),
    log: pino({ level: "silent" }),
  });
}

async function open(server: TestListener): Promise<Socket> {
  const socket = connectTcp(server.port, "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}
