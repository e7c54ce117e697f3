import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Http2Server } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { afterEach, expect, test } from "vitest";
import { FakeService, playEdit } from "../../test/support/fake-service.js";
import { RunOutcome, RunState } from "./gen/agent_manager/v1/run_pb.js";
import { createAgentManager } from "./index.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

/** A real HTTP/2 server of which every connection can be destroyed. */
async function listen(service: FakeService) {
  const sockets = new Set<Socket>();
  const server: Http2Server = createServer(connectNodeAdapter({ routes: service.routes }));
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("session", (session) => session.on("error", () => {}));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = (server.address() as AddressInfo).port; // a TCP server has an AddressInfo
  const destroyAll = () => {
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  const close = () => {
    destroyAll();
    return new Promise((resolve) => server.close(resolve));
  };
  cleanups.push(close);
  return { url: `http://127.0.0.1:${port}`, destroyAll, close };
}

test("with every connection destroyed at every event, each event arrives exactly once and in order", async () => {
  const service = new FakeService();
  const { url, destroyAll } = await listen(service);
  const am = createAgentManager({ url, token: "t" });
  cleanups.push(() => am.close());
  const fake = service.add();
  const total = 40;
  fake.move(RunState.RUNNING);
  const timer = setInterval(() => {
    if (fake.events.length < total) {
      fake.append({ case: "progress", value: { text: String(fake.events.length + 1) } });
    } else if (!fake.ended) {
      fake.move(RunState.COMPLETED, RunOutcome.NO_CHANGES);
    }
  }, 5);
  cleanups.push(() => clearInterval(timer));
  let reconnects = 0;
  const sequences: number[] = [];
  const run = await am.runs.get(fake.run.runId);
  for await (const event of run.events({ onReconnect: () => reconnects++ })) {
    sequences.push(Number(event.sequence));
    destroyAll();
  }
  expect(sequences).toEqual(Array.from({ length: total + 1 }, (_, index) => index + 1));
  expect(reconnects).toBeGreaterThan(3);
});

test("a service that comes back on another port is found through its data directory", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "sdk-resume-"));
  cleanups.push(() => rmSync(dataDir, { recursive: true }));
  const service = new FakeService();
  const first = await listen(service);
  const announce = (url: string) => writeFileSync(join(dataDir, "server.json"), JSON.stringify({ pid: 1, url }));
  announce(first.url);
  const am = createAgentManager({ dataDir });
  cleanups.push(() => am.close());
  const fake = service.add();
  fake.move(RunState.RUNNING);
  const run = await am.runs.get(fake.run.runId);
  const kinds: (string | undefined)[] = [];
  for await (const event of run.events()) {
    kinds.push(event.event.case);
    if (kinds.length === 1) {
      await first.close();
      announce((await listen(service)).url);
      playEdit(fake);
    }
  }
  expect(kinds.at(-1)).toBe("runStateChanged");
  expect((await run.changes()).digest).toBe("digest-1");
});

test("leaving the loop closes the stream on the server", async () => {
  const service = new FakeService();
  const { url } = await listen(service);
  const am = createAgentManager({ url, token: "t" });
  cleanups.push(() => am.close());
  const fake = service.add();
  fake.move(RunState.RUNNING);
  for await (const _ of (await am.runs.get(fake.run.runId)).events()) {
    expect(service.openWatches).toBe(1);
    break;
  }
  await expect.poll(() => service.openWatches).toBe(0);
});

test("nobody there is said in a sentence that names what to do", async () => {
  const am = createAgentManager({ url: "http://127.0.0.1:9", token: "t", maxRetries: 0 });
  await expect(am.health()).rejects.toThrow(/connection to the service failed .*ECONNREFUSED.*; check its address/);
});
