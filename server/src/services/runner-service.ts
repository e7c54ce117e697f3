import {
  AuthenticationState,
  GetRunnerResponseSchema,
  ListRunnersResponseSchema,
  type Runner as RunnerMessage,
  RunnerSchema,
  type RunnerService,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { DomainError } from "../domain/errors.js";
import { agentHome } from "../execution/agent-environment.js";
import { resolveRunnerCommand } from "../runners/command-lookup.js";
import type { Detection, Runner } from "../runners/runner.js";

/** Asking a program for its version takes up to half a second; what it says holds for a while. */
const DETECTION_VALID_MS = 30_000;

export interface RunnerServiceOptions {
  readonly runners: ReadonlyMap<string, Runner>;
  readonly runnerCommands: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly dataDir: string;
}

export function createRunnerService(options: RunnerServiceOptions): Partial<ServiceImpl<typeof RunnerService>> {
  const detections = new Map<string, { readonly atMs: number; readonly detection: Promise<Detection> }>();

  const describe = async (runner: Runner): Promise<RunnerMessage> => {
    const known = detections.get(runner.id);
    const fresh = known && Date.now() - known.atMs < DETECTION_VALID_MS;
    const detection = fresh ? known.detection : detect(runner, options);
    if (!fresh) detections.set(runner.id, { atMs: Date.now(), detection });
    return runnerMessage(runner, await detection);
  };

  return {
    async listRunners() {
      const runners = await Promise.all([...options.runners.values()].map(describe));
      return create(ListRunnersResponseSchema, { runners });
    },

    async getRunner({ runner: runnerId }) {
      const runner = options.runners.get(runnerId);
      if (!runner)
        throw new DomainError("RUNNER_UNKNOWN", { runner: runnerId, known: [...options.runners.keys()].join(", ") });
      return create(GetRunnerResponseSchema, { runner: await describe(runner) });
    },
  };
}

async function detect(runner: Runner, options: RunnerServiceOptions): Promise<Detection> {
  const { runnerCommands, environment, dataDir } = options;
  const found = await resolveRunnerCommand(runner, environment, runnerCommands[runner.id]);
  if (found.kind === "missing") {
    const authentication = AuthenticationState.UNSPECIFIED;
    return { installed: false, version: "", path: "", authentication, problem: found.problem };
  }
  const names = ["PATH", ...runner.credentialVariables, ...runner.passedVariables];
  const passed = names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]]));
  const home = agentHome(dataDir, runner.id, "");
  return runner.detect({ command: found.command, environment: { ...Object.fromEntries(passed), HOME: home } });
}

function runnerMessage(runner: Runner, detection: Detection): RunnerMessage {
  const { id, displayName, capabilities, models, testedVersions } = runner;
  return create(RunnerSchema, {
    runner: id,
    displayName,
    capabilities: [...capabilities],
    models: [...models],
    testedVersions,
    ...detection,
  });
}
