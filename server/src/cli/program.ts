import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addConfigCommand } from "./commands/config.js";
import { addDiffCommand } from "./commands/diff.js";
import { addDoctorCommand } from "./commands/doctor.js";
import { addProfilesCommand } from "./commands/profiles.js";
import { addReviewCommands } from "./commands/review.js";
import { addRunCommand } from "./commands/run.js";
import { addRunnersCommand } from "./commands/runners.js";
import { addRunsCommand } from "./commands/runs.js";
import { addServeCommand } from "./commands/serve.js";
import { addShowCommand } from "./commands/show.js";
import { addStopCommand } from "./commands/stop.js";
import { addTasksCommand } from "./commands/tasks.js";
import { addWatchCommand } from "./commands/watch.js";
import { createContext } from "./context.js";
import { exitCodes } from "./exit-codes.js";
import { describeFailure, failureExitCode } from "./failure.js";
import type { Environment } from "./globals.js";
import type { RegisterCommand } from "./register.js";
import type { Terminal } from "./terminal.js";

const commands: readonly RegisterCommand[] = [
  addRunCommand,
  addRunsCommand,
  addWatchCommand,
  addShowCommand,
  addDiffCommand,
  addReviewCommands,
  addStopCommand,
  addProfilesCommand,
  addTasksCommand,
  addRunnersCommand,
  addServeCommand,
  addConfigCommand,
  addDoctorCommand,
];

/** Runs one command and returns its exit code. Never throws. */
export async function runProgram(
  args: readonly string[],
  { terminal, env }: { readonly terminal: Terminal; readonly env: Environment },
): Promise<number> {
  let exitCode: number = exitCodes.done;
  const program = createProgram(terminal);
  for (const add of commands) {
    add(program, (handler) => async (...given) => {
      const command = given.at(-1);
      const globals = command instanceof Command ? command.optsWithGlobals() : {};
      const code = await handler(createContext(terminal, env, globals), ...given);
      exitCode = typeof code === "number" ? code : exitCodes.done;
    });
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? exitCodes.done : exitCodes.usage; // commander has said what is wrong
    }
    terminal.note(`error: ${describeFailure(error)}`);
    if (env.AGENT_MANAGER_DEBUG && error instanceof Error) {
      terminal.note(error.stack ?? "");
    }
    return failureExitCode(error);
  }
}

function createProgram(terminal: Terminal): Command {
  return new Command("agent-manager")
    .description("Runs AI coding agents against your code in a controlled, reviewable way.")
    .version(version(), "-V, --version", "print the version")
    .option("--url <url>", "the service's address (AGENT_MANAGER_URL)")
    .option("--token <token>", "the service's token; other users may see it here, better use AGENT_MANAGER_TOKEN")
    .option("--data-dir <dir>", "the data directory (AGENT_MANAGER_HOME; default: ~/.agent-manager)")
    .option("--json", "print JSON, one value per line")
    .option("--color", "use colours (default: on a terminal)")
    .option("--no-color", "use no colours (NO_COLOR)")
    .addHelpText(
      "after",
      `
Examples:
  $ agent-manager run "fix the failing test"          start, follow, review, apply
  $ agent-manager run "add a changelog" --yes --json  the same for programs
  $ agent-manager runs --state needs-review           what waits for you
  $ agent-manager diff last && agent-manager approve last
  $ agent-manager doctor                              what is missing

Without --url, commands use the server of the data directory and start one if there is none.`,
    )
    .showHelpAfterError("(see `agent-manager --help`)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.note(text.trimEnd()),
      getOutHelpWidth: () => terminal.columns,
    });
}

function version(): string {
  const file: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return typeof file === "object" && file !== null && "version" in file ? String(file.version) : "unknown";
}
