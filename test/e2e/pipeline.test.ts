import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as proto from "@agent-manager/sdk/proto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeFolder, makeRepository, startServer, type TestServer } from "../support/server.js";

const { EventKind, RunState } = proto;

let folder: Awaited<ReturnType<typeof makeFolder>>;
let server: TestServer;

beforeAll(async () => {
  folder = await makeFolder();
  server = await startServer({ dataDir: join(folder.path, "data") });
});

afterAll(async () => {
  await server.stop();
  await folder.remove();
});

function script(...steps: object[]): string {
  return JSON.stringify({ script: steps });
}

async function makeProject(
  name: string,
  files: Record<string, string> = { "a.txt": "one\ntwo\nthree\n" },
): Promise<string> {
  return makeRepository(join(folder.path, name), files);
}

async function collect(run: Awaited<ReturnType<TestServer["am"]["runs"]["start"]>>) {
  const events: proto.RunEvent[] = [];
  for await (const event of run.events()) events.push(event);
  return events;
}

describe("a run", () => {
  test("edits in its sandbox, is approved, and the project has exactly its changes", async () => {
    const projectRoot = await makeProject("approve");
    const prompt = script(
      { say: "working" },
      { write: { path: "a.txt", content: "one\nTWO\nthree\n" } },
      { shell: ["cat", "a.txt"] },
    );
    const run = await server.am.runs.start({ task: { prompt, projectRoot }, labels: { issue: "42" } });
    const outcome = await run.wait();
    expect(outcome.kind).toBe("succeeded");
    expect(await readFile(join(projectRoot, "a.txt"), "utf8")).toBe("one\ntwo\nthree\n");

    const changes = await run.changes();
    expect(changes.files.map(({ path, additions, deletions }) => ({ path, additions, deletions }))).toEqual([
      { path: "a.txt", additions: 1, deletions: 1 },
    ]);
    const { appliedFiles } = await run.approve({ digest: changes.digest });
    expect(appliedFiles).toEqual(["a.txt"]);
    expect(await readFile(join(projectRoot, "a.txt"), "utf8")).toBe("one\nTWO\nthree\n");
    expect((await run.refresh()).state).toBe(RunState.COMPLETED);
  });

  test("is told in gapless events from queued to completed, the tool call joined to its result", async () => {
    const projectRoot = await makeProject("events");
    const run = await server.am.runs.start({ task: { prompt: script({ shell: ["echo", "hello"] }), projectRoot } });
    const events = await collect(run);
    expect(events.map(({ sequence }) => Number(sequence))).toEqual(events.map((_, index) => index + 1));
    const kinds = events.map(({ event }) => event.case);
    for (const kind of [
      "processStarted",
      "sessionBound",
      "turnStarted",
      "toolCall",
      "toolResult",
      "usage",
      "turnEnded",
      "processEnded",
    ]) {
      expect(kinds).toContain(kind);
    }
    const call = events.find(({ event }) => event.case === "toolCall");
    expect(events.some(({ event, itemId }) => event.case === "toolResult" && itemId === call?.itemId)).toBe(true);
    const states = events.flatMap(({ event }) => (event.case === "runStateChanged" ? [event.value.to] : []));
    expect(states).toEqual([RunState.QUEUED, RunState.STARTING, RunState.RUNNING, RunState.COMPLETED]);
  });

  test("watched from any sequence gives exactly the rest", async () => {
    const projectRoot = await makeProject("resume");
    const run = await server.am.runs.start({
      task: { prompt: script({ lines: { count: 50, prefix: "x" } }), projectRoot },
    });
    const all = await collect(run);
    for (const after of [0n, 1n, 7n, BigInt(all.length - 1), BigInt(all.length)]) {
      const rest: bigint[] = [];
      for await (const { sequence } of run.events({ after })) rest.push(sequence);
      expect(rest).toEqual(all.map(({ sequence }) => sequence).filter((sequence) => sequence > after));
    }
  });

  test("rejected leaves the project as it was", async () => {
    const projectRoot = await makeProject("reject");
    const run = await server.am.runs.start({ task: { prompt: script({ delete: "a.txt" }), projectRoot } });
    await run.wait();
    expect((await run.reject({ comment: "no" })).state).toBe(RunState.REJECTED);
    expect(await readFile(join(projectRoot, "a.txt"), "utf8")).toBe("one\ntwo\nthree\n");
  });

  test("whose file the human changed on the same line is refused with the file named, and nothing is touched", async () => {
    const projectRoot = await makeProject("conflict", { "a.txt": "one\ntwo\nthree\n", "b.txt": "b\n" });
    const prompt = script(
      { write: { path: "a.txt", content: "one\nagent\nthree\n" } },
      { write: { path: "b.txt", content: "agent\n" } },
    );
    const run = await server.am.runs.start({ task: { prompt, projectRoot } });
    await run.wait();
    await writeFile(join(projectRoot, "a.txt"), "one\nhuman\nthree\n");
    const error = await run.approve().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: "APPLY_CONFLICT", preconditions: [{ subject: "a.txt", type: "CONTENT" }] });
    expect(await readFile(join(projectRoot, "a.txt"), "utf8")).toBe("one\nhuman\nthree\n");
    expect(await readFile(join(projectRoot, "b.txt"), "utf8")).toBe("b\n");
    expect((await run.refresh()).state).toBe(RunState.NEEDS_REVIEW);
  });

  test("approved 20 times at once is applied once", async () => {
    const projectRoot = await makeProject("many");
    const run = await server.am.runs.start({
      task: { prompt: script({ write: { path: "n.txt", content: "n\n" } }), projectRoot },
    });
    await run.wait();
    const { digest } = await run.changes();
    const approvals = await Promise.all(Array.from({ length: 20 }, () => run.approve({ digest })));
    expect(approvals.map(({ run: approved }) => approved.state)).toEqual(Array(20).fill(RunState.COMPLETED));
    const applies = (await collect(run)).filter(({ event }) => event.case === "apply");
    expect(applies).toHaveLength(1);
  });

  test("asking for permission is denied by default, and both are recorded", async () => {
    const projectRoot = await makeProject("permission");
    const prompt = script({ ask: { tool: "WebFetch", input: { url: "http://127.0.0.1/" } } });
    const run = await server.am.runs.start({
      task: { prompt, projectRoot },
      config: { permissionMode: proto.PermissionMode.ASK },
    });
    const events = await collect(run);
    expect(events.some(({ event }) => event.case === "permissionRequested" && event.value.tool === "WebFetch")).toBe(
      true,
    );
    const resolved = events.find(({ event }) => event.case === "permissionResolved");
    expect(resolved?.event.value).toMatchObject({ decision: proto.PermissionDecision.DENIED, actor: "default" });
  });

  test("stopped in a long command ends soon, as cancelled, with nothing of it left", async () => {
    const projectRoot = await makeProject("stop");
    const run = await server.am.runs.start({ task: { prompt: script({ shell: ["sleep", "300"] }), projectRoot } });
    for await (const { event } of run.events()) if (event.case === "toolCall") break;
    const started = Date.now();
    await run.stop({ comment: "enough" });
    const outcome = await run.wait();
    expect(outcome.kind).toBe("stopped");
    expect(Date.now() - started).toBeLessThan(8_000);
    expect((await run.refresh()).state).toBe(RunState.CANCELLED);
  });

  test("over its time limit ends as timed out", async () => {
    const projectRoot = await makeProject("timeout");
    const run = await server.am.runs.start({
      task: { prompt: script({ sleep_ms: 60_000 }), projectRoot },
      config: { timeoutMs: 1_000 },
    });
    expect((await run.wait()).kind).toBe("timedOut");
  });

  test("whose agent dies without a word ends as failed with the reason", async () => {
    const projectRoot = await makeProject("crash");
    const run = await server.am.runs.start({ task: { prompt: script({ signal: "SIGKILL" }), projectRoot } });
    const outcome = await run.wait();
    expect(outcome.kind).toBe("runnerError");
    const ended = (await collect(run)).find(({ event }) => event.case === "processEnded");
    expect(ended?.event.value).toMatchObject({ signal: "SIGKILL" });
  });

  test("in a folder that is no git repository works the same", async () => {
    const plain = await makeFolder();
    await writeFile(join(plain.path, "x.txt"), "x\n");
    const run = await server.am.runs.start({
      task: { prompt: script({ write: { path: "x.txt", content: "y\n" } }), projectRoot: plain.path },
    });
    await run.wait();
    await run.approve();
    expect(await readFile(join(plain.path, "x.txt"), "utf8")).toBe("y\n");
    await plain.remove();
  });

  test("can be filtered by kind", async () => {
    const projectRoot = await makeProject("kinds");
    const run = await server.am.runs.start({ task: { prompt: script({ say: "hello" }), projectRoot } });
    await run.wait();
    const kinds = new Set<string | undefined>();
    for await (const { event } of run.events({ kinds: [EventKind.MESSAGE] })) kinds.add(event.case);
    expect([...kinds]).toEqual(["message"]);
  });
});
