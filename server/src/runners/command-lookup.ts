import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import type { Runner } from "./runner.js";

/** Where a runner's program is, or why it cannot be started. */
export type RunnerCommand =
  | { readonly kind: "found"; readonly command: readonly [string, ...string[]] }
  | { readonly kind: "missing"; readonly problem: string };

/** The variable that names a runner's program, for example AGENT_MANAGER_RUNNER_CLAUDE_CODE_COMMAND. */
export function commandVariable(runnerId: string): string {
  return `AGENT_MANAGER_RUNNER_${runnerId.toUpperCase().replaceAll("-", "_")}_COMMAND`;
}

/**
 * Finds the program of a runner: what the runner's variable or else `configured` names (a path, or a JSON
 * array of a program and its leading arguments), else `defaultProgram` on the PATH of `environment`. No shell is
 * involved. A program that is not there is a value, not an exception.
 */
export async function resolveRunnerCommand(
  runner: Pick<Runner, "id" | "defaultProgram" | "installHint">,
  environment: Readonly<Record<string, string | undefined>>,
  configured?: string,
): Promise<RunnerCommand> {
  const variable = commandVariable(runner.id);
  const setting = environment[variable] || configured;
  const parts = setting ? readSetting(setting) : ([runner.defaultProgram] as const);
  const hint = `${runner.installHint}, or set ${variable}`;
  if (parts === undefined) {
    return { kind: "missing", problem: `${variable} is neither a path nor a JSON array of strings: ${setting}` };
  }
  const [program, ...args] = parts;
  const path = await findProgram(program, environment.PATH ?? "");
  if (path === undefined)
    return { kind: "missing", problem: `program not found or not executable: ${program}; ${hint}` };
  return { kind: "found", command: [path, ...args] };
}

function readSetting(setting: string): readonly [string, ...string[]] | undefined {
  if (!setting.trimStart().startsWith("[")) return [setting];
  try {
    const parts: unknown = JSON.parse(setting);
    if (!Array.isArray(parts) || !parts.every((part): part is string => typeof part === "string")) return undefined;
    const [program, ...args] = parts;
    return program ? [program, ...args] : undefined;
  } catch {
    return undefined;
  }
}

async function findProgram(program: string, path: string): Promise<string | undefined> {
  if (program.includes("/")) return (await executable(resolve(program))) ? resolve(program) : undefined;
  for (const folder of path.split(delimiter).filter((entry) => entry !== "")) {
    const candidate = resolve(join(folder, program));
    if (await executable(candidate)) return candidate;
  }
  return undefined;
}

async function executable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
