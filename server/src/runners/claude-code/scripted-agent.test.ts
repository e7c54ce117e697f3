import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PermissionMode, TurnStatus } from "@agent-manager/sdk/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Drive, type Driven, driveAgent } from "../../../../test/support/agent-driver.js";
import { eventsOf, runConfig } from "../../../../test/support/claude-recordings.js";
import { claudeCode } from "./claude-code.js";

const program = join(import.meta.dirname, "../../../demo/scripted-agent.mjs");
let folder = "";
let workspace = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "scripted-agent-"));
  workspace = join(folder, "workspace");
  mkdirSync(workspace);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function drive(change: Partial<Drive>): Promise<Driven> {
  return driveAgent({
    runner: claudeCode,
    command: [process.execPath, program],
    prompt: "",
    config: runConfig(),
    workspace,
    home: folder,
    environment: {},
    timeoutMs: 20_000,
    ...change,
  });
}

async function script(steps: readonly unknown[], change: Partial<Drive> = {}): Promise<Driven> {
  return drive({ prompt: JSON.stringify({ script: steps }), ...change });
}

test("it answers like the real program to detect", async () => {
  const environment = { PATH: process.env.PATH ?? "", HOME: folder };
  const detection = await claudeCode.detect({ command: [process.execPath, program], environment });
  expect(detection).toMatchObject({ installed: true, version: "2.1.197" });
});

test("it repairs the demo's failing test for real", async () => {
  mkdirSync(join(workspace, "src"));
  writeFileSync(
    join(workspace, "src/sum.mjs"),
    "export function sum(numbers) {\n  let total = 1;\n  for (const n of numbers) total += n;\n  return total;\n}\n",
  );
  writeFileSync(
    join(workspace, "sum.test.mjs"),
    `import assert from "node:assert/strict";\nimport { test } from "node:test";\nimport { sum } from "./src/sum.mjs";\ntest("sums", () => assert.equal(sum([1, 2]), 3));\n`,
  );
  const config = runConfig({ tools: { allowed: ["Bash(node --test *)"] } });
  const { outcome, events, deltas } = await drive({ prompt: "make the test pass", config });
  expect(outcome).toMatchObject({ kind: "finished", result: expect.stringMatching(/tests pass/) });
  expect(readFileSync(join(workspace, "src/sum.mjs"), "utf8")).toContain("let total = 0;");
  expect(eventsOf(events, "toolResult").map((result) => result.isError)).toEqual([true, false, false, false]);
  expect(eventsOf(events, "fileChange")[0]?.diff).toContain("-  let total = 1;\n+  let total = 0;\n");
  expect(deltas.length).toBeGreaterThan(10);
  expect(eventsOf(events, "native")).toEqual([]);
  expect(eventsOf(events, "warning")).toEqual([]);
});

test("it writes, deletes and runs programs for real", async () => {
  const steps = [
    { write: { path: "a/b.txt", content: "one\n" } },
    { write: { path: "gone.txt", content: "x" } },
    { delete: "gone.txt" },
    { shell: ["cat", "a/b.txt"] },
    { shell: ["ls", "gone.txt"] },
    { say: "done" },
  ];
  const { outcome, events } = await script(steps);
  expect(outcome).toEqual({ kind: "finished", result: "done" });
  expect(eventsOf(events, "toolResult").at(-2)).toMatchObject({ text: "one", isError: false });
  expect(eventsOf(events, "toolResult").at(-1)).toMatchObject({ isError: true });
});

test("it waits for a permission and tells which answer it got", async () => {
  const steps = [{ ask: { tool: "Bash", input: { command: "rm x" } } }];
  expect((await script(steps)).outcome).toMatchObject({ result: expect.stringMatching(/denied/) });
  const config = runConfig({ permissionMode: PermissionMode.FULL_AUTO });
  expect((await script(steps, { config })).outcome).toMatchObject({ result: "Bash was allowed" });
});

test("read only keeps it from writing", async () => {
  const config = runConfig({ permissionMode: PermissionMode.READ_ONLY });
  const { events } = await script([{ write: { path: "a.txt", content: "x" } }], { config });
  expect(eventsOf(events, "toolResult")).toMatchObject([{ isError: true }]);
  expect(() => readFileSync(join(workspace, "a.txt"))).toThrow(/ENOENT/);
});

test("an interrupt ends a sleep", async () => {
  const react: Drive["react"] = (event, interrupt) => (event.event.case === "message" ? interrupt() : undefined);
  const { outcome, events } = await script([{ say: "waiting" }, { sleep_ms: 15_000 }], { react });
  expect(outcome.kind).toBe("interrupted");
  expect(eventsOf(events, "turnEnded")).toMatchObject([{ status: TurnStatus.INTERRUPTED }]);
});

test("the turn limit stops it", async () => {
  const { outcome } = await script([{ say: "1" }, { say: "2" }, { say: "3" }], { config: runConfig({ maxTurns: 2 }) });
  expect(outcome).toEqual({ kind: "maxTurns" });
});

test("errors, exits and signals end as the real program's do", async () => {
  const limited = {
    error: { status: 429, text: "API Error: Request rejected (429) · Rate limited", error: "rate_limit" },
  };
  expect((await script([limited])).outcome).toMatchObject({ kind: "rateLimited" });
  expect((await script([{ error: { subtype: "error_max_budget_usd", text: "over" } }])).outcome).toEqual({
    kind: "budgetExceeded",
  });
  expect((await script([{ say: "x" }, { exit: 0 }])).outcome).toMatchObject({ kind: "interrupted" });
  expect((await script([{ exit: 7 }])).outcome).toMatchObject({ kind: "failed", code: "no_result" });
  expect(await script([{ signal: "SIGKILL" }])).toMatchObject({ signal: "SIGKILL", outcome: { kind: "interrupted" } });
});

test("lines are in the ledger before they are printed, and arrive whole", async () => {
  const ledger = join(folder, "ledger");
  const { events } = await script([{ lines: { count: 2_500, prefix: "l", ledger } }]);
  const lines = eventsOf(events, "log").map((log) => Buffer.from(log.data ?? []).toString());
  expect(lines.length).toBe(2_500);
  const digests = readFileSync(ledger, "utf8").trimEnd().split("\n");
  expect(digests).toEqual(
    lines.map((line, index) => `${index + 1} ${createHash("sha256").update(line).digest("hex")}`),
  );
});

test("raw bytes and standard error come out as they are", async () => {
  const { events } = await script([{ stdout: { base64: Buffer.of(0xff, 0).toString("base64") } }, { stderr: "odd" }]);
  const logs = eventsOf(events, "log").map(({ data, stderr }) => [Buffer.from(data ?? []).toString("hex"), stderr]);
  expect(logs).toEqual(
    expect.arrayContaining([
      ["ff00", false],
      [Buffer.from("odd").toString("hex"), true],
    ]),
  );
});

test("a process left behind is real and named", async () => {
  const { events } = await script([{ spawn_orphan: { seconds: 30, setsid: true } }]);
  const pid = Number(/started (\d+)/.exec(eventsOf(events, "toolResult")[0]?.text ?? "")?.[1]);
  expect(process.kill(pid, 0)).toBe(true);
  process.kill(pid, "SIGKILL");
});

test("a session can be resumed, and only one that is there", async () => {
  const sessionId = randomUUID();
  await script([{ say: "first" }], { sessionId });
  expect((await script([{ say: "second" }], { resumeSessionId: sessionId })).outcome).toMatchObject({
    kind: "finished",
  });
  expect((await script([], { sessionId })).outcome).toMatchObject({ kind: "failed", code: "session_in_use" });
  expect((await script([], { resumeSessionId: randomUUID() })).outcome).toMatchObject({
    kind: "failed",
    code: "session_not_found",
  });
});

test("usage is what the script says", async () => {
  const { events } = await script([{ usage: { input_tokens: 7, output_tokens: 3, cost_usd: 0.5 } }]);
  expect(eventsOf(events, "usage")).toMatchObject([{ total: { inputTokens: 7n, outputTokens: 3n, costUsd: 0.5 } }]);
});
