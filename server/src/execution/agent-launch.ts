import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ErrorClass, type RunConfig, RunOutcome } from "@agent-manager/sdk/proto";
import { resolveRunnerCommand } from "../runners/command-lookup.js";
import type { Runner, RunnerProtocol } from "../runners/runner.js";
import type { Sandbox, SandboxProgram, SandboxProvider } from "../sandbox/sandbox-provider.js";
import type { RunWithLog } from "../store/runs.js";
import { agentEnvironment, agentHome, secretVariables } from "./agent-environment.js";
import type { ExecutionContext } from "./execution-context.js";
import { runFailure } from "./run-failure.js";
import { PROTOCOL_VERSION, type SupervisorSpec } from "./supervisor/messages.js";

export interface LaunchPreparation {
  readonly run: RunWithLog;
  readonly config: RunConfig;
  readonly runner: Runner;
  readonly protocol: RunnerProtocol;
  readonly sandbox: Sandbox;
  readonly sandboxes: SandboxProvider;
  readonly context: ExecutionContext;
}

export interface PreparedLaunch {
  readonly spec: SupervisorSpec;
  readonly environment: Readonly<Record<string, string>>;
  /** What of the run's config the runner cannot enforce, in words. */
  readonly warnings: readonly string[];
}

/** The runner with this id; throws RunFailure for one that this server does not have. */
export function findRunner(runners: ReadonlyMap<string, Runner>, runnerId: string): Runner {
  const runner = runners.get(runnerId);
  if (runner) return runner;
  throw runFailure(RunOutcome.RUNNER_UNAVAILABLE, {
    class: ErrorClass.CONFIGURATION,
    code: "runner_unknown",
    text: `this server has no runner ${runnerId}`,
    recovery: "name one that ListRunners returns",
  });
}

/** Decides how the agent of a run is started, and makes its home. Throws RunFailure if its program is missing. */
export async function prepareLaunch(preparation: LaunchPreparation): Promise<PreparedLaunch> {
  const { run, config, runner, sandbox, sandboxes, context } = preparation;
  const { serverEnvironment } = context;
  const home = agentHome(run.data_dir, runner.id, run.project_root);
  const launch = runner.launch({
    runId: run.run_id,
    command: await findCommand(runner, context),
    config,
    newSessionId: run.run_id,
    home,
    confined: sandbox.confined,
    root: process.getuid?.() === 0,
    credentials: runner.credentialVariables.filter((name) => serverEnvironment[name] !== undefined),
  });
  await writeHomeFiles(home, launch.files);
  const environment = agentEnvironment({ runId: run.run_id, runner, launch, config, home, serverEnvironment });
  const wanted = { command: launch.command, environment, workingDirectory: run.project_root };
  const program = sandboxes.launch(sandbox, wanted);
  return {
    spec: makeSpec(preparation, program),
    environment: program.environment,
    warnings: launch.warnings,
  };
}

function makeSpec(
  { run, config, runner, protocol, context }: LaunchPreparation,
  program: SandboxProgram,
): SupervisorSpec {
  return {
    version: PROTOCOL_VERSION,
    runId: run.run_id,
    nonce: randomUUID(),
    command: program.command,
    workingDirectory: program.workingDirectory,
    environment: Object.keys(program.environment).sort(),
    secrets: secretVariables(runner, config),
    timeoutMs: config.timeoutMs ?? 0,
    inactivityTimeoutMs: config.inactivityTimeoutMs ?? 0,
    graceMs: context.graceMs,
    maxOutputBytes: context.maxOutputBytes,
    diskFullLimitMs: context.diskFullLimitMs,
    interrupt: protocol.interrupt() ?? null,
  };
}

async function findCommand(runner: Runner, context: ExecutionContext): Promise<readonly [string, ...string[]]> {
  const found = await resolveRunnerCommand(runner, context.serverEnvironment, context.runnerCommands[runner.id]);
  if (found.kind === "found") return found.command;
  throw runFailure(RunOutcome.RUNNER_UNAVAILABLE, {
    class: ErrorClass.CONFIGURATION,
    code: "runner_not_installed",
    text: `${runner.displayName} cannot be started: ${found.problem}`,
    recovery: runner.installHint,
  });
}

async function writeHomeFiles(home: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(join(home, "tmp"), { recursive: true, mode: 0o700 });
  for (const [name, content] of Object.entries(files)) {
    const path = join(home, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, content, { mode: 0o600 });
  }
}
