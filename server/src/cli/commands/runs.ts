import { resolve } from "node:path";
import { type RunHandle, RunState } from "@agent-manager/sdk";
import { RunSchema } from "@agent-manager/sdk/proto";
import { toJson } from "@bufbuild/protobuf";
import { InvalidArgumentError } from "commander";
import { collectLabel, wholeNumber } from "../options.js";
import type { RegisterCommand } from "../register.js";
import { shortId } from "../run-reference.js";
import { printTable } from "../table.js";
import { ago, enumWord, stateWord } from "../words.js";

interface RunsFlags {
  readonly state?: readonly RunState[];
  readonly label?: Record<string, string>;
  readonly project?: string;
  readonly limit: number;
}

const stateNames = Object.keys(RunState).filter((name) => /^[A-Z]/.test(name) && name !== "UNSPECIFIED");

export const addRunsCommand: RegisterCommand = (program, withContext) => {
  program
    .command("runs")
    .description("List runs, newest first.")
    .option(
      "--state <state>",
      `only runs in this state; may be repeated (${stateNames.map(dashed).join(", ")})`,
      collectState,
    )
    .option("--label <key=value>", "only runs with this label; may be repeated", collectLabel)
    .option("--project <dir>", "only runs of this project")
    .option("--limit <n>", "how many at most", wholeNumber, 20)
    .addHelpText(
      "after",
      "\nExamples:\n  $ agent-manager runs --state needs-review\n  $ agent-manager runs --label issue=42 --json",
    )
    .action(
      withContext(async (context, flags: RunsFlags) => {
        const am = await context.connect();
        const found: RunHandle[] = [];
        const selector = {
          states: [...(flags.state ?? [])],
          labels: flags.label ?? {},
          ...(flags.project === undefined ? {} : { projectRoot: resolve(flags.project) }),
        };
        if (flags.limit > 0) {
          for await (const run of am.runs.list(selector, { pageSize: Math.min(flags.limit, 500) })) {
            found.push(run);
            if (found.length >= flags.limit) {
              break;
            }
          }
        }
        am.close();
        if (context.globals.json) {
          for (const run of found) {
            context.printJson(toJson(RunSchema, run.snapshot));
          }
          return;
        }
        printTable(context, ["RUN", "STATE", "AGE", "RUNNER", "TITLE"], found.map(row));
      }),
    );
};

function row({ snapshot }: RunHandle): readonly string[] {
  return [
    shortId(snapshot.runId),
    stateWord(snapshot.state),
    ago(snapshot.createTime),
    snapshot.config?.runner ?? "",
    snapshot.title,
  ];
}

function collectState(text: string, states: readonly RunState[] = []): readonly RunState[] {
  const name = text.toUpperCase().replaceAll("-", "_");
  const state = stateNames.includes(name) ? RunState[name as keyof typeof RunState] : undefined; // one of its own keys
  if (state === undefined) {
    throw new InvalidArgumentError(`"${text}" is not one of ${stateNames.map(dashed).join(", ")}.`);
  }
  return [...states, state];
}

function dashed(name: string): string {
  return enumWord(name).replaceAll(" ", "-");
}
