import type { Runner } from "@agent-manager/sdk";
import { AuthenticationState, RunnerSchema } from "@agent-manager/sdk/proto";
import { toJson } from "@bufbuild/protobuf";
import type { RegisterCommand } from "../register.js";
import { printTable } from "../table.js";
import { plainLine } from "../untrusted.js";

export const addRunnersCommand: RegisterCommand = (program, withContext) => {
  program
    .command("runners")
    .description("List the agent programs and what was found of them.")
    .action(
      withContext(async (context) => {
        const am = await context.connect();
        const runners = await am.runners.list();
        am.close();
        if (context.globals.json) {
          for (const runner of runners) {
            context.printJson(toJson(RunnerSchema, runner));
          }
          return;
        }
        printTable(context, ["RUNNER", "NAME", "VERSION", "SIGNED IN", "PROGRAM"], runners.map(row));
        for (const { runner, problem } of runners) {
          if (problem !== "") {
            context.print(context.paint.yellow(`! ${plainLine(runner)}: ${plainLine(problem)}`));
          }
        }
      }),
    );
};

/** "yes", "no", or that it cannot be told. */
function signInWord(state: AuthenticationState): string {
  switch (state) {
    case AuthenticationState.SIGNED_IN:
      return "yes";
    case AuthenticationState.SIGNED_OUT:
      return "no";
    default:
      return "cannot tell";
  }
}

function row(runner: Runner): readonly string[] {
  const version = runner.installed ? runner.version || "unknown" : "not installed";
  return [
    runner.runner,
    runner.displayName,
    version,
    runner.installed ? signInWord(runner.authentication) : "",
    runner.path,
  ];
}
