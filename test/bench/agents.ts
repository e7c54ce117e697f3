import { fileURLToPath } from "node:url";

const folder = new URL("../../test/fixtures/agents/", import.meta.url);

export const quietAgent = fileURLToPath(new URL("quiet-agent.sh", folder));
export const timedAgent = fileURLToPath(new URL("timed-agent.mjs", folder));

/** The environment of a server whose claude-code is this program. */
export function runnerEnvironment(program: string): Readonly<Record<string, string>> {
  return {
    AGENT_MANAGER_RUNNER_CLAUDE_CODE_COMMAND: program,
    AGENT_MANAGER_MAX_ACTIVE_RUNS: "1000",
    AGENT_MANAGER_STOP_GRACE_MS: "2000",
  };
}
