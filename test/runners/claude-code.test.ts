import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AuthenticationState, PermissionDecision, PermissionMode, TurnStatus } from "@agent-manager/sdk/proto";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { claudeCode } from "../../server/src/runners/claude-code/claude-code.js";
import { type Drive, type Driven, driveAgent } from "../support/agent-driver.js";
import {
  callsTool,
  claudeVersion,
  installClaude,
  type ModelStep,
  refuses,
  startFakeModel,
} from "../support/claude-program.js";
import { eventsOf, runConfig } from "../support/claude-recordings.js";

let program = "";
let folder = "";
let workspace = "";

beforeAll(async () => {
  program = await installClaude();
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "claude-code-"));
  workspace = join(folder, "workspace");
  mkdirSync(workspace);
  writeFileSync(join(workspace, "hello.txt"), "hello world\n");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function drive(steps: readonly ModelStep[], change: Partial<Drive> = {}): Promise<Driven> {
  await using model = await startFakeModel(steps);
  const driven = await driveAgent({
    runner: claudeCode,
    command: [program],
    prompt: "do it",
    config: runConfig(),
    workspace,
    home: join(folder, "home"),
    environment: { ...model.environment, CLAUDE_CODE_MAX_RETRIES: "1" },
    ...change,
  });
  expect(eventsOf(driven.events, "native"), "every frame is known").toEqual([]);
  return driven;
}

const greets: ModelStep = { content: "Hello from the model.", reasoning: "Let me think." };
const edits = (): ModelStep => callsTool("Write", { file_path: join(workspace, "new.txt"), content: "new\n" });
const runs = (command: string): ModelStep => callsTool("Bash", { command, description: "run" });
const ends: ModelStep = { content: "All done." };

test("it is found, with its version and without a credential", async () => {
  const environment = { PATH: process.env.PATH ?? "", HOME: folder };
  const detection = await claudeCode.detect({ command: [program], environment });
  expect(detection).toMatchObject({
    installed: true,
    version: claudeVersion,
    authentication: AuthenticationState.SIGNED_OUT,
  });
});

test("a text is streamed and told once", async () => {
  const { events, deltas, outcome } = await drive([greets]);
  expect(outcome).toEqual({ kind: "finished", result: "Hello from the model." });
  const message = events.find(({ event }) => event.case === "message");
  const streamed = deltas.filter((delta) => delta.itemId === message?.itemId).map((delta) => delta.text);
  expect(streamed.join("")).toBe("Hello from the model.");
  expect(eventsOf(events, "reasoning")).toMatchObject([{ text: "Let me think." }]);
  expect(eventsOf(events, "sessionBound")).toMatchObject([
    { runnerVersion: claudeVersion, permissionMode: "acceptEdits" },
  ]);
  expect(eventsOf(events, "turnEnded")).toMatchObject([{ status: TurnStatus.COMPLETED }]);
  expect(eventsOf(events, "usage")[0]?.total?.inputTokens).toBeGreaterThan(0n);
});

test("an edit and a shell command are done and told", async () => {
  const config = runConfig({ permissionMode: PermissionMode.FULL_AUTO });
  const { events, outcome } = await drive([edits(), runs("cat new.txt > copy.txt && cat copy.txt"), ends], {
    config,
    confined: true,
  });
  expect(outcome).toMatchObject({ kind: "finished", result: "All done." });
  expect(readFileSync(join(workspace, "copy.txt"), "utf8")).toBe("new\n");
  expect(eventsOf(events, "toolCall").map((call) => call.name)).toEqual(["Write", "Bash"]);
  expect(eventsOf(events, "toolResult").map((result) => result.isError)).toEqual([false, false]);
  expect(eventsOf(events, "fileChange")[0]?.diff).toContain("+new\n");
  expect(eventsOf(events, "sessionBound")).toMatchObject([{ permissionMode: "bypassPermissions" }]);
});

test.runIf(process.getuid?.() === 0)(
  "fully automatic as root outside a sandbox allows each request and says so",
  async () => {
    const config = runConfig({ permissionMode: PermissionMode.FULL_AUTO });
    const { events, warnings } = await drive([runs("node -e 1 > copy.txt"), ends], { config, confined: false });
    expect(existsSync(join(workspace, "copy.txt"))).toBe(true);
    expect(eventsOf(events, "permissionResolved")).toMatchObject([
      { decision: PermissionDecision.ALLOWED, actor: "full auto" },
    ]);
    expect(warnings).toMatchObject([expect.stringMatching(/as root/)]);
  },
);

test("what nobody allowed is denied, on the record, and the agent goes on", async () => {
  const { events, outcome } = await drive([edits(), runs("node -e 1 > copy.txt"), ends]);
  expect(outcome).toMatchObject({ kind: "finished" });
  expect(existsSync(join(workspace, "new.txt"))).toBe(true);
  expect(existsSync(join(workspace, "copy.txt"))).toBe(false);
  expect(eventsOf(events, "permissionRequested")).toMatchObject([{ tool: "Bash" }]);
  expect(eventsOf(events, "permissionResolved")).toMatchObject([
    { decision: PermissionDecision.DENIED, actor: "default" },
  ]);
  expect(eventsOf(events, "toolResult").at(-1)).toMatchObject({
    isError: true,
    text: expect.stringMatching(/denied by default/),
  });
});

test("a rule that allows a command lets it pass", async () => {
  const config = runConfig({ tools: { allowed: ["Bash(touch *)"] } });
  await drive([runs("touch made.txt"), ends], { config });
  expect(existsSync(join(workspace, "made.txt"))).toBe(true);
});

test("read only writes nothing, whatever the model calls and the rules allow", async () => {
  const config = runConfig({ permissionMode: PermissionMode.READ_ONLY, tools: { allowed: ["Bash", "Write"] } });
  const change = callsTool("Edit", { file_path: join(workspace, "hello.txt"), old_string: "hello", new_string: "bye" });
  const { events, warnings } = await drive([edits(), runs("touch made.txt"), change, ends], { config });
  expect(eventsOf(events, "toolResult").map((result) => result.isError)).toEqual([true, true, true]);
  expect(existsSync(join(workspace, "new.txt"))).toBe(false);
  expect(existsSync(join(workspace, "made.txt"))).toBe(false);
  expect(readFileSync(join(workspace, "hello.txt"), "utf8")).toBe("hello world\n");
  expect(warnings.length).toBe(2);
});

test("an MCP server starts with the variables that the config names, and its tools ask for permission", async () => {
  const server = join(folder, "server.mjs");
  writeFileSync(server, mcpServer);
  const files = { command: process.execPath, args: [server, join(folder, "seen.txt")], environment: ["PROBE"] };
  const config = runConfig({ mcpServers: { servers: { files } } });
  await using model = await startFakeModel([callsTool("mcp__files__look", {}), ends]);
  const environment = { ...model.environment, PROBE: "from the environment" };
  const { events } = await drive([], { config, environment });
  expect(eventsOf(events, "sessionBound")[0]?.mcpServers).toEqual(["files: connected"]);
  expect(readFileSync(join(folder, "seen.txt"), "utf8")).toBe("from the environment");
  expect(eventsOf(events, "permissionRequested")).toMatchObject([{ tool: "mcp__files__look" }]);
});

test("a second run goes on with the session of the first", async () => {
  const sessionId = randomUUID();
  await drive([greets], { sessionId });
  const { events, outcome } = await drive([ends], { resumeSessionId: sessionId });
  expect(outcome).toMatchObject({ kind: "finished" });
  expect(eventsOf(events, "sessionBound")).toMatchObject([{ sessionId, resumed: true }]);
});

test("an interrupt ends a shell command that runs", async () => {
  const config = runConfig({ permissionMode: PermissionMode.FULL_AUTO });
  const react: Drive["react"] = ({ event }, interrupt) => (event.case === "toolCall" ? interrupt() : undefined);
  const { events, outcome } = await drive([runs("sleep 50"), ends], { config, confined: true, react });
  expect(outcome.kind).toBe("interrupted");
  expect(eventsOf(events, "turnEnded")).toMatchObject([{ status: TurnStatus.INTERRUPTED }]);
});

test("the turn limit stops a model that goes on and on", async () => {
  const { outcome } = await drive([callsTool("Read", { file_path: join(workspace, "hello.txt") })], {
    config: runConfig({ maxTurns: 2 }),
  });
  expect(outcome).toEqual({ kind: "maxTurns" });
});

test("the budget stops it, and what was spent is told", async () => {
  const config = runConfig({ budget: { costUsd: 0.000001 } });
  const { events, outcome } = await drive([callsTool("Read", { file_path: join(workspace, "hello.txt") })], { config });
  expect(outcome).toEqual({ kind: "budgetExceeded" });
  expect(eventsOf(events, "budget")).toMatchObject([{ exceeded: true }]);
});

test.each([
  [429, "rate_limit_error", { kind: "rateLimited" }],
  [401, "authentication_error", { kind: "unavailable", code: "authentication_failed" }],
  [404, "not_found_error", { kind: "failed", code: "model_not_found" }],
  [500, "api_error", { kind: "failed", code: "server_error" }],
])("a provider that answers %i ends the run as it should", async (status, type, outcome) => {
  const driven = await drive([refuses(status, type, "refused")]);
  expect(driven.outcome).toMatchObject(outcome);
  expect(eventsOf(driven.events, "error")).toMatchObject([{ httpStatus: status }]);
});

/** The smallest MCP server with one tool; it notes what its environment held. */
const mcpServer = `
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
writeFileSync(process.argv[2], process.env.PROBE ?? "");
const results = {
  initialize: { protocolVersion: "2025-06-18", capabilities: { tools: {} }, serverInfo: { name: "files", version: "1" } },
  "tools/list": { tools: [{ name: "look", description: "looks", inputSchema: { type: "object" } }] },
};
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method } = JSON.parse(line);
  if (id !== undefined) console.log(JSON.stringify({ jsonrpc: "2.0", id, result: results[method] ?? {} }));
});
`;
