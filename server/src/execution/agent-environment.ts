import { createHash } from "node:crypto";
import { join } from "node:path";
import type { RunConfig } from "@agent-manager/sdk/proto";
import type { Runner, RunnerLaunch } from "../runners/runner.js";

type Environment = Readonly<Record<string, string | undefined>>;

export interface AgentEnvironmentRequest {
  readonly runId: string;
  readonly runner: Runner;
  readonly launch: RunnerLaunch;
  readonly config: RunConfig;
  readonly home: string;
  readonly serverEnvironment: Environment;
}

/**
 * The agent's environment, built from nothing: what every agent gets, what its runner asks for, and the named
 * variables of the server's own that the runner or the run's config lets through.
 */
export function agentEnvironment(request: AgentEnvironmentRequest): Record<string, string> {
  const { runId, runner, launch, config, home, serverEnvironment } = request;
  const passed = [...runner.credentialVariables, ...runner.passedVariables, ...namedVariables(config)];
  return {
    ...pick(serverEnvironment, passed),
    PATH: serverEnvironment.PATH ?? "/usr/local/bin:/usr/bin:/bin",
    HOME: home,
    TMPDIR: join(home, "tmp"),
    LANG: serverEnvironment.LANG ?? "C.UTF-8",
    TERM: "dumb",
    ...launch.environment,
    AGENT_MANAGER_RUN_ID: runId,
  };
}

/** The variables whose values must not be stored. */
export function secretVariables(runner: Runner, config: RunConfig): readonly string[] {
  const secret = namedVariables(config).filter((name) => /key|token|secret|passw|credential/i.test(name));
  return [...runner.credentialVariables, ...secret];
}

/** The agent's own home, apart from the workspace; the same for later runs, so that sessions can be resumed. */
export function agentHome(dataDir: string, runnerId: string, projectRoot: string): string {
  const project = createHash("sha256").update(projectRoot).digest("hex").slice(0, 16);
  return join(dataDir, "homes", runnerId, project);
}

/** The variables that the run's config names, for the agent itself or for an MCP server that it starts. */
function namedVariables(config: RunConfig): readonly string[] {
  const servers = Object.values(config.mcpServers?.servers ?? {});
  return [...(config.environment?.values ?? []), ...servers.flatMap(({ environment }) => environment)];
}

function pick(environment: Environment, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])),
  );
}
