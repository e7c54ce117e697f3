import { request } from "node:http";
import { connect } from "node:http2";
import { RunService, WatchRunRequestSchema, WatchRunResponseSchema } from "@agent-manager/sdk/proto";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { someId, startListener, type TestListener, tokens } from "../../../test/support/listener.js";

let listening: TestListener;
let sent = 0;
let ended = 0;

const path = `/${RunService.typeName}/WatchRun`;
const authorization = `Bearer ${tokens.admin}`;
const body = envelope(toBinary(WatchRunRequestSchema, create(WatchRunRequestSchema, { runId: someId })));

beforeEach(async () => {
  [sent, ended] = [0, 0];
  listening = await startListener({ runs: { watchRun: flood } });
});

afterEach(() => listening[Symbol.asyncDispose]());

/** Messages without end, as fast as they are taken. */
async function* flood() {
  try {
    for (;;) {
      yield create(WatchRunResponseSchema, { run: { prompt: "x".repeat(100_000) } });
      sent += 1;
    }
  } finally {
    ended += 1;
  }
}

function envelope(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Until the handler waits, which must be soon: nobody reads. */
async function untilBlocked(): Promise<void> {
  const counts = [-1];
  const stands = () => counts.push(sent) > 1 && counts.at(-2) === sent;
  await expect.poll(stands, { interval: 200 }).toBe(true);
  expect(sent).toBeLessThan(100); // 10 MB: what the sockets hold, and no more
}

test("a handler whose HTTP/2 client does not read waits, and ends when the client resets the stream", async () => {
  const session = connect(listening.url);
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc+proto",
    te: "trailers",
    authorization,
  });
  stream.end(body);
  await untilBlocked();
  stream.close();
  await expect.poll(() => ended).toBe(1);
  session.destroy();
});

test("a handler whose HTTP/1.1 client does not read waits, and ends when the client leaves", async () => {
  const headers = { "content-type": "application/connect+proto", authorization };
  const call = request(listening.url + path, { method: "POST", headers }, (response) => response.pause());
  call.on("error", () => {});
  call.end(body);
  await untilBlocked();
  call.destroy();
  await expect.poll(() => ended).toBe(1);
});
