import { createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { FakeService, playEdit } from "../../test/support/fake-service.js";
import { AgentManager } from "./agent-manager.js";
import { RunOutcome, RunState } from "./gen/agent_manager/v1/run_pb.js";

function setUp() {
  const service = new FakeService();
  const transport = createRouterTransport(service.routes);
  return { service, am: new AgentManager({ transport, close: () => {} }) };
}

const task = { prompt: "fix it", projectRoot: "/projects/app" };

test("a run is started, followed to its review, approved and followed to its end", async () => {
  const { service, am } = setUp();
  service.onRun = playEdit;
  const run = await am.runs.start({ task, profile: "fixer", labels: { issue: "42" } });
  const kinds: (string | undefined)[] = [];
  for await (const event of run.events()) {
    kinds.push(event.event.case);
  }
  expect(kinds).toEqual([
    "runStateChanged",
    "runStateChanged",
    "message",
    "toolCall",
    "toolResult",
    "usage",
    "runStateChanged",
  ]);
  expect(await run.wait()).toMatchObject({ kind: "succeeded", review: "pending" });
  expect((await run.approve()).appliedFiles).toEqual(["src/sum.mjs"]);
  expect(await run.wait()).toMatchObject({ kind: "succeeded", review: "approved" });
  const sequences: bigint[] = [];
  for await (const event of run.events({ until: "ended" })) {
    sequences.push(event.sequence);
  }
  expect(sequences).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]);
  expect(service.created[0]).toMatchObject({
    profile: { case: "profileKey", value: "fixer" },
    labels: { issue: "42" },
  });
});

test("wait resolves when the agent ends, not before", async () => {
  const { service, am } = setUp();
  const run = await am.runs.start({ task });
  const fake = service.runs[0];
  const waiting = run.wait();
  setTimeout(() => fake?.move(RunState.RUNNING), 20);
  setTimeout(() => fake?.move(RunState.FAILED, RunOutcome.TIMED_OUT, "took too long"), 60);
  expect(await waiting).toMatchObject({ kind: "timedOut", review: "none", reason: "took too long" });
});

test("a rate-limited run says when to try again", async () => {
  const { service, am } = setUp();
  const fake = service.add({ retryTime: { seconds: 1_900_000_000n } });
  fake.move(RunState.FAILED, RunOutcome.RATE_LIMITED);
  const result = await (await am.runs.get(fake.run.runId)).wait();
  expect(result).toMatchObject({ kind: "rateLimited", retryAt: new Date(1_900_000_000_000) });
});

test("a watch that starts when the run waits for review already ends at once", async () => {
  const { service, am } = setUp();
  const fake = service.add();
  playEdit(fake);
  fake.append({ case: "warning", value: { text: "late" } });
  const run = await am.runs.get(fake.run.runId);
  const events = [];
  for await (const event of run.events({ after: fake.run.lastSequence })) {
    events.push(event);
  }
  expect(events).toEqual([]);
});

test("a filtered watch leaves out what was not asked for, and still ends", async () => {
  const { service, am } = setUp();
  const fake = service.add();
  playEdit(fake);
  const kinds = [];
  for await (const event of (await am.runs.get(fake.run.runId)).events({ kinds: [14] })) {
    kinds.push(event.event.case);
  }
  expect(kinds).toEqual(["message"]);
});

test("approving names the digest of the latest changes by default, and the given one otherwise", async () => {
  const { service, am } = setUp();
  const fake = service.add();
  playEdit(fake);
  const run = await am.runs.get(fake.run.runId);
  await expect(run.approve({ digest: "digest-0" })).rejects.toThrow("not digest-0");
  expect(run.snapshot.state).toBe(RunState.NEEDS_REVIEW);
  await run.approve();
  expect(run.snapshot.state).toBe(RunState.COMPLETED);
});

test("an aborted signal ends the loop with its reason", async () => {
  const { service, am } = setUp();
  const run = await am.runs.get(service.add().run.runId);
  const reason = new Error("enough");
  await expect(run.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 30);
  await expect(run.events({ signal: controller.signal }).next()).rejects.toBe(reason);
});

test("a list goes over all pages", async () => {
  const { service, am } = setUp();
  const ids = Array.from({ length: 5 }, () => service.add().run.runId);
  const seen = [];
  for await (const run of am.runs.list()) {
    seen.push(run.id);
  }
  expect(seen).toEqual(ids.reverse());
  expect(await am.runs.find({})).toHaveLength(5);
});
