import { resolve } from "node:path";
import type { AgentManager, RunHandle, RunInit, WriteOptions } from "@agent-manager/sdk";
import type { Context } from "../context.js";
import { exitCodeHelp, exitCodeOf, exitCodes } from "../exit-codes.js";
import { UsageError } from "../failure.js";
import { followRun, resultLine } from "../follow-run.js";
import { addConfigFlags, type ConfigFlags, collectLabel, configOf } from "../options.js";
import type { RegisterCommand } from "../register.js";
import { type ReviewChoice, reviewRun } from "../review-run.js";
import { plainLine, shorten } from "../untrusted.js";

interface RunFlags extends ConfigFlags {
  readonly profile?: string;
  readonly project?: string;
  readonly title?: string;
  readonly label?: Record<string, string>;
  readonly yes?: boolean;
  readonly reject?: boolean;
  readonly review: boolean;
  readonly deltas?: boolean;
  readonly requestId?: string;
}

export const addRunCommand: RegisterCommand = (program, withContext) => {
  const command = program
    .command("run <prompt>")
    .description("Run an agent: start it, show what it does, show the diff, ask whether to apply it.")
    .option("--project <dir>", "the project's folder (default: the current one)")
    .option("--profile <key>", "a profile, by key or id")
    .option("--title <text>", "a line for people (default: the prompt's first line)")
    .option("--label <key=value>", "a label; may be repeated", collectLabel)
    .option("--yes", "apply the changes without asking")
    .option("--reject", "discard the changes without asking, for a dry run")
    .option("--no-review", "leave the changes for review")
    .option("--deltas", "with --json: print partial text too")
    .option("--request-id <id>", "start the run at most once, however often this is called with the same id");
  addConfigFlags(command)
    .addHelpText(
      "after",
      `
Examples:
  $ agent-manager run "fix the failing test"
  $ agent-manager run "update the docs" --project ~/app --timeout 20m --label issue=42
  $ agent-manager run "explain src/" --permission-mode read-only --json | jq .message.text

Ctrl-C asks the run to stop; a second one leaves it.
${exitCodeHelp}`,
    )
    .action(
      withContext(async (context, prompt: string, flags: RunFlags) => {
        const choice = choiceOf(flags);
        const am = await context.connect();
        try {
          return await runAll(context, { am, choice, init: runInit(prompt, flags), deltas: flags.deltas ?? false });
        } finally {
          am.close();
        }
      }),
    );
};

async function runAll(
  context: Context,
  {
    am,
    choice,
    init,
    deltas,
  }: { am: AgentManager; choice: ReviewChoice; init: RunInit & WriteOptions; deltas: boolean },
): Promise<number> {
  const run = await am.runs.start(init);
  announce(context, run);
  const ended = await followRun(context, run, { stopOnInterrupt: true, deltas });
  if (ended === undefined) {
    return exitCodes.detached;
  }
  if (!context.globals.json) {
    context.print(resultLine(context, ended));
  }
  const { result, appliedFiles } = await reviewRun(context, run, { result: ended, choice });
  const exitCode = exitCodeOf(result);
  if (context.globals.json) {
    const { kind, review, reason } = result;
    context.printJson({ outcome: { kind, review, reason, runId: run.id, appliedFiles, exitCode } });
  }
  return exitCode;
}

function announce(context: Context, run: RunHandle): void {
  if (context.globals.json) {
    return;
  }
  const { title, projectRoot, config } = run.snapshot;
  context.print(`${context.paint.bold(shorten(plainLine(title), 100))}`);
  context.print(context.paint.dim(`run ${run.id} · ${plainLine(config?.runner ?? "")} · ${plainLine(projectRoot)}`));
}

function runInit(prompt: string, flags: RunFlags): RunInit & WriteOptions {
  if (prompt.trim() === "") {
    throw new UsageError("the prompt is empty; say what the agent shall do");
  }
  return {
    task: {
      prompt,
      projectRoot: resolve(flags.project ?? "."),
      ...(flags.title === undefined ? {} : { title: flags.title }),
    },
    config: configOf(flags),
    labels: flags.label ?? {},
    ...(flags.profile === undefined ? {} : { profile: flags.profile }),
    ...(flags.requestId === undefined ? {} : { requestId: flags.requestId }),
  };
}

function choiceOf(flags: RunFlags): ReviewChoice {
  const given = [flags.yes && "--yes", flags.reject && "--reject", !flags.review && "--no-review"].filter(Boolean);
  if (given.length > 1) {
    throw new UsageError(`${given.join(" and ")} contradict each other; give one`);
  }
  if (flags.yes) {
    return "approve";
  }
  if (flags.reject) {
    return "reject";
  }
  return flags.review ? "ask" : "later";
}
