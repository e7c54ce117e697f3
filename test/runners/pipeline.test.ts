import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as proto from "@agent-manager/sdk/proto";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { callsTool, installClaude, type ModelStep, startFakeModel } from "../support/claude-program.js";
import { makeFolder, makeRepository, startServer, type TestServer } from "../support/server.js";

let program: string;
let folder: Awaited<ReturnType<typeof makeFolder>>;

beforeAll(async () => {
  program = await installClaude();
}, 300_000);

beforeEach(async () => {
  folder = await makeFolder();
});

afterEach(() => folder.remove());

async function startWithClaude(model: { readonly environment: Readonly<Record<string, string>> }): Promise<TestServer> {
  const environment = { ...model.environment, AGENT_MANAGER_RUNNER_CLAUDE_CODE_COMMAND: program };
  return startServer({ dataDir: join(folder.path, "data"), environment });
}

/** Where the agent of a run works; the model must name files as the agent sees them. */
function workspaceOf(server: TestServer, runId: string): string {
  return join(server.dataDir, "sandboxes", runId, "workspace");
}

test("the real claude edits a file, runs a shell command and finishes, and its change is applied on approval", async () => {
  const steps: ModelStep[] = [];
  await using model = await startFakeModel(steps);
  const server = await startWithClaude(model);
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "one\n" });
  const run = await server.am.runs.start({
    task: { prompt: "Write b.txt and show it.", projectRoot },
    config: { tools: { allowed: ["Bash(cat *)"] }, maxTurns: 10 },
  });
  const file = join(workspaceOf(server, run.id), "b.txt");
  steps.push(
    callsTool("Write", { file_path: file, content: "from claude\n" }),
    callsTool("Bash", { command: "cat b.txt", description: "show it" }),
    { content: "All done." },
  );

  expect((await run.wait()).kind).toBe("succeeded");
  const events: proto.RunEvent[] = [];
  await run.approve();
  for await (const event of run.events()) events.push(event);
  expect(events.map(({ sequence }) => Number(sequence))).toEqual(events.map((_, index) => index + 1));
  const results = events.flatMap(({ event }) => (event.case === "toolResult" ? [event.value.text] : []));
  expect(results.some((text) => text.includes("from claude"))).toBe(true);
  expect(events.filter(({ event }) => event.case === "native")).toEqual([]);
  expect(await readFile(join(projectRoot, "b.txt"), "utf8")).toBe("from claude\n");
  expect(await run.refresh()).toMatchObject({ result: "All done.", sessionId: run.id });
  expect(run.snapshot.usage).toMatchObject({ costSource: proto.CostSource.RUNNER });
  expect(JSON.stringify(events, (_, value) => (typeof value === "bigint" ? String(value) : value))).not.toContain(
    "no-real-key",
  );
  await server.stop();
});

test("the server killed with -9 in the middle of the real claude's turn goes on with it", async () => {
  const steps: ModelStep[] = [];
  await using model = await startFakeModel(steps);
  let server = await startWithClaude(model);
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "one\n" });
  const started = await server.am.runs.start({
    task: { prompt: "Sleep, then write.", projectRoot },
    config: { tools: { allowed: ["Bash(sleep *)"] } },
  });
  const file = join(workspaceOf(server, started.id), "late.txt");
  steps.push(
    callsTool("Bash", { command: "sleep 3", description: "wait" }),
    callsTool("Write", { file_path: file, content: "late\n" }),
    { content: "Finished." },
  );
  for await (const { event } of started.events()) if (event.case === "toolCall") break;
  await server.stop("SIGKILL");
  await sleep(500);
  server = await startWithClaude(model);
  const run = await server.am.runs.get(started.id);
  expect((await run.wait()).kind).toBe("succeeded");
  expect((await run.changes()).files.map(({ path }) => path)).toEqual(["late.txt"]);
  await server.stop();
});

test("the real claude stopped in the middle of a shell command ends as stopped, and no process is left", async () => {
  await using model = await startFakeModel([callsTool("Bash", { command: "sleep 312", description: "wait" })]);
  const server = await startWithClaude(model);
  const projectRoot = await makeRepository(join(folder.path, "project"), { "a.txt": "one\n" });
  const run = await server.am.runs.start({
    task: { prompt: "Sleep.", projectRoot },
    config: { tools: { allowed: ["Bash(sleep *)"] } },
  });
  for await (const { event } of run.events()) if (event.case === "toolCall") break;
  await sleep(500);
  await run.stop();
  expect((await run.wait()).kind).toBe("stopped");
  const { stdout } = await import("execa").then(({ execa }) => execa("ps", ["-eo", "args"]));
  expect(stdout).not.toContain("sleep 312");
  await server.stop();
});
