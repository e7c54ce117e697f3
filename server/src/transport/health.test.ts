import { Health, HealthCheckResponse_ServingStatus as Status } from "@agent-manager/sdk/proto";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startListener, type TestListener } from "../../../test/support/listener.js";

let server: TestListener;
beforeAll(async () => {
  server = await startListener();
});
afterAll(() => server[Symbol.asyncDispose]());

// Without a token throughout.
const client = () => createClient(Health, createGrpcTransport({ baseUrl: server.url }));

test("the server and each of its services have the same status", async () => {
  server.health.set(Status.SERVING);
  expect(await client().check({})).toMatchObject({ status: Status.SERVING });
  expect(await client().check({ service: "agent_manager.v1.RunService" })).toMatchObject({ status: Status.SERVING });
  const { statuses } = await client().list({});
  expect(Object.keys(statuses)).toHaveLength(7);
});

test("a service that is not one of the server is NOT_FOUND", async () => {
  await expect(client().check({ service: "nope" })).rejects.toMatchObject({ code: Code.NotFound });
});

test("a watch sends the status at once and after each change", async () => {
  server.health.set(Status.NOT_SERVING);
  const call = new AbortController();
  const statuses = client().watch({}, { signal: call.signal })[Symbol.asyncIterator]();
  expect((await statuses.next()).value).toMatchObject({ status: Status.NOT_SERVING });
  server.health.set(Status.NOT_SERVING);
  server.health.set(Status.SERVING);
  expect((await statuses.next()).value).toMatchObject({ status: Status.SERVING });
  call.abort();
  await expect(statuses.next()).rejects.toMatchObject({ code: Code.Canceled });
});

test("a watch of an unknown service says so and stays open", async () => {
  const call = new AbortController();
  const statuses = client().watch({ service: "nope" }, { signal: call.signal })[Symbol.asyncIterator]();
  expect((await statuses.next()).value).toMatchObject({ status: Status.SERVICE_UNKNOWN });
  const next = statuses.next();
  expect(
    await Promise.race([next.catch(() => "ended"), new Promise((resolve) => setTimeout(resolve, 100, "open"))]),
  ).toBe("open");
  call.abort();
  await expect(next).rejects.toMatchObject({ code: Code.Canceled });
});
