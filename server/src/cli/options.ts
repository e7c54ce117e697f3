import { PermissionMode, type RunConfigInit } from "@agent-manager/sdk";
import { type Command, InvalidArgumentError, Option } from "commander";

/** The flags that say how a run is executed. */
export interface ConfigFlags {
  readonly runner?: string;
  readonly model?: string;
  readonly maxTurns?: number;
  readonly timeout?: number;
  readonly permissionMode?: PermissionMode;
}

const permissionModes: Readonly<Record<string, PermissionMode>> = {
  ask: PermissionMode.ASK,
  "accept-edits": PermissionMode.ACCEPT_EDITS,
  "full-auto": PermissionMode.FULL_AUTO,
  "read-only": PermissionMode.READ_ONLY,
};

/** Adds the flags of a run's configuration to a command. */
export function addConfigFlags(command: Command): Command {
  return command
    .option("--runner <id>", "the agent program, for example claude-code")
    .option("--model <name>", "the model, in the runner's own words")
    .option("--max-turns <n>", "end after this many model turns", wholeNumber)
    .option("--timeout <duration>", "end this long after the agent started, for example 80m", milliseconds)
    .addOption(
      new Option("--permission-mode <mode>", `one of ${Object.keys(permissionModes).join(", ")}`).argParser(
        permissionMode,
      ),
    );
}

/** The configuration that the flags ask for; nothing for flags that were not given. */
export function configOf(flags: ConfigFlags): RunConfigInit {
  return {
    ...(flags.runner === undefined ? {} : { runner: flags.runner }),
    ...(flags.model === undefined ? {} : { model: flags.model }),
    ...(flags.maxTurns === undefined ? {} : { maxTurns: flags.maxTurns }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }),
    ...(flags.permissionMode === undefined ? {} : { permissionMode: flags.permissionMode }),
  };
}

/** Collects `--label k=v` into a map. */
export function collectLabel(text: string, labels: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) {
    throw new InvalidArgumentError(`"${text}" is not key=value.`);
  }
  return { ...labels, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Collects a repeated flag into a list. */
export function collect(text: string, list: readonly string[] = []): readonly string[] {
  return [...list, text];
}

/** Reads a whole number. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw new InvalidArgumentError(`"${text}" is not a whole number.`);
  }
  return Number(text);
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads a duration such as 500ms, 30s, 80m or 2h; a bare number is seconds. */
export function milliseconds(text: string): number {
  const [, amount = "", unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  const factor = units[unit];
  if (amount === "" || factor === undefined) {
    throw new InvalidArgumentError(`"${text}" is not a duration such as 30s, 80m or 2h.`);
  }
  return Math.round(Number(amount) * factor);
}

function permissionMode(text: string): PermissionMode {
  const mode = permissionModes[text];
  if (mode === undefined) {
    throw new InvalidArgumentError(`"${text}" is not one of ${Object.keys(permissionModes).join(", ")}.`);
  }
  return mode;
}
