import { ModelPreset, NetworkMode, PermissionMode } from "@agent-manager/sdk/proto";
import { expect, test } from "vitest";
import { runConfig } from "../../../../test/support/claude-recordings.js";
import type { LaunchRequest } from "../runner.js";
import { launch } from "./launch.js";

const request = (change: Partial<LaunchRequest> = {}): LaunchRequest => ({
  runId: "run",
  command: ["/opt/claude"],
  config: runConfig(),
  newSessionId: "3f1c7d2e-0000-4000-8000-000000000000",
  home: "/home/agent",
  confined: true,
  root: false,
  ...change,
});

/** The values after an option, up to the next one. */
function valuesOf(command: readonly string[], option: string): readonly string[] {
  const rest = command.slice(command.indexOf(option) + 1);
  const end = rest.findIndex((part) => part.startsWith("--"));
  return command.includes(option) ? rest.slice(0, end < 0 ? rest.length : end) : [];
}

test("a plain run talks JSON lines both ways, chooses its session and reads no project settings", () => {
  const { command, environment, files, warnings } = launch(request());
  expect(command.slice(0, 6)).toEqual([
    "/opt/claude",
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
  ]);
  expect(valuesOf(command, "--permission-prompt-tool")).toEqual(["stdio"]);
  expect(valuesOf(command, "--permission-mode")).toEqual(["acceptEdits"]);
  expect(valuesOf(command, "--session-id")).toEqual(["3f1c7d2e-0000-4000-8000-000000000000"]);
  expect(valuesOf(command, "--setting-sources")).toEqual([""]);
  expect(command).toContain("--strict-mcp-config");
  expect(command).not.toContain("--model");
  expect(environment).toMatchObject({ CLAUDE_CONFIG_DIR: "/home/agent/.claude", DISABLE_AUTOUPDATER: "1" });
  expect(files).toEqual({});
  expect(warnings).toEqual([]);
});

test("a session is resumed by its id and gets no new one", () => {
  const { command } = launch(request({ resumeSessionId: "old" }));
  expect(valuesOf(command, "--resume")).toEqual(["old"]);
  expect(command).not.toContain("--session-id");
});

test("limits, prompt and model of the config become options", () => {
  const config = runConfig({
    preset: ModelPreset.CHEAP,
    maxTurns: 7,
    budget: { costUsd: 0.5 },
    appendSystemPrompt: "--be brief",
    projectSettings: true,
  });
  const { command } = launch(request({ config }));
  expect(valuesOf(command, "--model")).toEqual(["haiku"]);
  expect(valuesOf(command, "--max-turns")).toEqual(["7"]);
  expect(valuesOf(command, "--max-budget-usd")).toEqual(["0.5"]);
  expect(command[command.indexOf("--append-system-prompt") + 1]).toBe("--be brief");
  expect(command).not.toContain("--setting-sources");
  expect(
    valuesOf(launch(request({ config: runConfig({ model: "m", preset: ModelPreset.SMART }) })).command, "--model"),
  ).toEqual(["m"]);
});

test.each([
  ["as a user", { root: false, confined: false }, "bypassPermissions", undefined, 0],
  ["as root in a sandbox", { root: true, confined: true }, "bypassPermissions", "1", 0],
  ["as root outside a sandbox", { root: true, confined: false }, "acceptEdits", undefined, 1],
])("fully automatic %s", (_name, place, mode, sandbox, warnings) => {
  const started = launch(request({ ...place, config: runConfig({ permissionMode: PermissionMode.FULL_AUTO }) }));
  expect(valuesOf(started.command, "--permission-mode")).toEqual([mode]);
  expect(started.environment.IS_SANDBOX).toBe(sandbox);
  expect(started.warnings.length).toBe(warnings);
});

test("read only takes away what writes, also where a rule allows it", () => {
  const config = runConfig({
    permissionMode: PermissionMode.READ_ONLY,
    tools: { allowed: ["Read", "Bash(git log *)"], denied: ["WebFetch"] },
  });
  const { command, warnings } = launch(request({ config }));
  expect(valuesOf(command, "--permission-mode")).toEqual(["default"]);
  expect(valuesOf(command, "--allowedTools")).toEqual(["Read"]);
  expect(valuesOf(command, "--disallowedTools")).toEqual(
    expect.arrayContaining(["WebFetch", "Bash", "Edit", "Write", "NotebookEdit"]),
  );
  expect(warnings).toMatchObject([expect.stringMatching(/Bash\(git log \*\)/)]);
});

test("MCP servers are given with the names of their variables, not the values", () => {
  const servers = {
    files: { command: "node", args: ["files.mjs"], environment: ["FILES_TOKEN"] },
    web: { url: "https://mcp.example/" },
  };
  const { command } = launch(request({ config: runConfig({ mcpServers: { servers } }) }));
  expect(JSON.parse(valuesOf(command, "--mcp-config")[0] ?? "")).toEqual({
    mcpServers: {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the program expands it
      files: { command: "node", args: ["files.mjs"], env: { FILES_TOKEN: "${FILES_TOKEN}" } },
      web: { type: "http", url: "https://mcp.example/" },
    },
  });
});

test("what it cannot enforce is said", () => {
  const config = runConfig({ network: { mode: NetworkMode.NONE }, budget: { tokens: 5n } });
  const { warnings, command } = launch(
    request({ config, credentials: ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"] }),
  );
  expect(valuesOf(command, "--disallowedTools")).toEqual(["WebFetch", "WebSearch"]);
  expect(warnings).toMatchObject(
    [/network/, /token budget/, /ANTHROPIC_API_KEY/].map((it) => expect.stringMatching(it)),
  );
});
