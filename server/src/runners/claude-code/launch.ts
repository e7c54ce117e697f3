import { NetworkMode, PermissionMode, type RunConfig } from "@agent-manager/sdk/proto";
import type { LaunchRequest, RunnerLaunch } from "../runner.js";
import { presetModels } from "./presets.js";
import { toolOf } from "./tool-rules.js";

/** Tools that change something; READ_ONLY takes them away. */
const writingTools = [
  "Bash",
  "Edit",
  "Write",
  "NotebookEdit",
  "EnterWorktree",
  "ExitWorktree",
  "CronCreate",
  "CronDelete",
];
/** Tools that a rule may allow in READ_ONLY. */
const readingTools: ReadonlySet<string> = new Set(["Read", "Glob", "Grep", "WebFetch", "WebSearch"]);
const networkTools = ["WebFetch", "WebSearch"];

/**
 * How to start claude in its bidirectional mode: one process per run, JSON lines both ways, the prompt and the
 * permission answers on standard input.
 */
export function launch(request: LaunchRequest): RunnerLaunch {
  const permissions = permissionFlags(request);
  const tools = toolFlags(request.config);
  return {
    command: [
      ...request.command,
      ...wireFlags,
      ...permissions.flags,
      ...sessionFlags(request),
      ...limitFlags(request.config),
      ...settingFlags(request.config),
      ...tools.flags,
    ],
    environment: { ...fixedEnvironment, CLAUDE_CONFIG_DIR: `${request.home}/.claude`, ...permissions.environment },
    files: {},
    warnings: [...permissions.warnings, ...tools.warnings, ...otherWarnings(request)],
  };
}

const wireFlags = [
  "-p",
  "--input-format",
  "stream-json",
  "--output-format",
  "stream-json",
  "--verbose",
  "--include-partial-messages",
  "--permission-prompt-tool",
  "stdio",
] as const;

/** Several of these are undocumented; they were checked with the tested versions. */
const fixedEnvironment = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
  DISABLE_AUTOUPDATER: "1",
  DISABLE_TELEMETRY: "1",
  DISABLE_ERROR_REPORTING: "1",
  // The default of 10 retries a refused key for more than a minute.
  CLAUDE_CODE_MAX_RETRIES: "3",
  API_TIMEOUT_MS: "300000",
} as const;

interface PermissionFlags {
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

function permissionFlags({ config, root, confined }: LaunchRequest): PermissionFlags {
  const mode = (name: string): readonly string[] => ["--permission-mode", name];
  const plain = { environment: {}, warnings: [] };
  switch (config.permissionMode) {
    case PermissionMode.FULL_AUTO:
      if (!root) return { ...plain, flags: mode("bypassPermissions") };
      // The program refuses to bypass permissions as root unless it is told that it is in a sandbox.
      if (confined) return { ...plain, flags: mode("bypassPermissions"), environment: { IS_SANDBOX: "1" } };
      return {
        ...plain,
        flags: mode("acceptEdits"),
        warnings: [
          "claude-code does not run fully automatic as root outside a confining sandbox: it accepts edits, and each other request is allowed as it comes",
        ],
      };
    case PermissionMode.ACCEPT_EDITS:
      return { ...plain, flags: mode("acceptEdits") };
    // Not the program's plan mode: that changes what the agent is told to do. Default mode asks for whatever
    // changes something, and we deny; the tools that write are taken away on top.
    case PermissionMode.READ_ONLY:
    case PermissionMode.ASK:
    case PermissionMode.UNSPECIFIED:
    case undefined:
      return { ...plain, flags: mode("default") };
    default:
      return config.permissionMode satisfies never;
  }
}

function sessionFlags({ config, resumeSessionId, newSessionId }: LaunchRequest): readonly string[] {
  const model = config.model || (config.preset === undefined ? undefined : presetModels[config.preset]);
  return [
    ...(resumeSessionId === undefined ? ["--session-id", newSessionId] : ["--resume", resumeSessionId]),
    ...(model ? ["--model", model] : []),
  ];
}

function limitFlags({ maxTurns, budget }: RunConfig): readonly string[] {
  return [
    ...(maxTurns ? ["--max-turns", String(maxTurns)] : []),
    ...(budget?.costUsd ? ["--max-budget-usd", String(budget.costUsd)] : []),
  ];
}

function settingFlags(config: RunConfig): readonly string[] {
  const servers = Object.entries(config.mcpServers?.servers ?? {});
  return [
    // Settings, hooks and instruction files of a repository are code that runs with the agent's rights.
    ...(config.projectSettings ? [] : ["--setting-sources", "", "--strict-mcp-config"]),
    ...(config.appendSystemPrompt ? ["--append-system-prompt", config.appendSystemPrompt] : []),
    ...(servers.length === 0 ? [] : ["--mcp-config", mcpConfig(config)]),
  ];
}

/** Names only: the program expands ${NAME} from its own environment, so no value stands in the arguments. */
function mcpConfig(config: RunConfig): string {
  const servers = Object.entries(config.mcpServers?.servers ?? {}).map(([name, server]) => {
    const env = Object.fromEntries(server.environment.map((variable) => [variable, `\${${variable}}`]));
    return [name, server.url ? { type: "http", url: server.url } : { command: server.command, args: server.args, env }];
  });
  return JSON.stringify({ mcpServers: Object.fromEntries(servers) });
}

interface ToolFlags {
  readonly flags: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * The lists of tools take any number of arguments, so they come last; nothing positional follows, the prompt
 * goes by standard input.
 */
function toolFlags(config: RunConfig): ToolFlags {
  const readOnly = config.permissionMode === PermissionMode.READ_ONLY;
  const asked = config.tools?.allowed ?? [];
  const allowed = readOnly ? asked.filter((rule) => readingTools.has(toolOf(rule))) : asked;
  const denied = [
    ...(config.tools?.denied ?? []),
    ...(readOnly ? writingTools : []),
    ...(networkOpen(config) ? [] : networkTools),
  ];
  return {
    flags: [
      ...(allowed.length === 0 ? [] : ["--allowedTools", ...allowed]),
      ...(denied.length === 0 ? [] : ["--disallowedTools", ...denied]),
    ],
    warnings: asked
      .filter((rule) => !allowed.includes(rule))
      .map((rule) => `the rule that allows ${rule} is left out: the run is read only`),
  };
}

function otherWarnings({ config, credentials = [] }: LaunchRequest): readonly string[] {
  const visible = credentials.filter((name) => name !== "CLAUDE_CODE_OAUTH_TOKEN");
  return [
    ...(networkOpen(config)
      ? []
      : [
          "claude-code does not limit the network of shell commands: its own web tools are off, the sandbox has to do the rest",
        ]),
    ...(config.budget?.tokens ? ["claude-code has no token budget: tokens are counted when a turn ends"] : []),
    // CLAUDE_CODE_SUBPROCESS_ENV_SCRUB hides them, but the program then does not start without bubblewrap and
    // ignores the permission mode.
    ...visible.map((name) => `the agent's shell commands can read ${name}: claude-code passes it on to them`),
  ];
}

function networkOpen({ network }: RunConfig): boolean {
  const mode = network?.mode ?? NetworkMode.OPEN;
  return mode === NetworkMode.OPEN || mode === NetworkMode.UNSPECIFIED;
}
