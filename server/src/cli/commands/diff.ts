import { ChangeSetSchema } from "@agent-manager/sdk/proto";
import { toJson } from "@bufbuild/protobuf";
import { printDiff, printStat } from "../diff-view.js";
import type { RegisterCommand } from "../register.js";
import { findRun } from "../run-reference.js";

export const addDiffCommand: RegisterCommand = (program, withContext) => {
  program
    .command("diff <run>")
    .description("Show what a run wants to change.")
    .option("--stat", "only the files and counts")
    .addHelpText("after", "\nExamples:\n  $ agent-manager diff last\n  $ agent-manager diff last --color | less -R")
    .action(
      withContext(async (context, reference: string, flags: { readonly stat?: boolean }) => {
        const am = await context.connect();
        const run = await findRun(am, reference);
        const changes = await run.changes({ filesOnly: flags.stat ?? false });
        am.close();
        if (context.globals.json) {
          context.printJson(toJson(ChangeSetSchema, changes));
        } else if (flags.stat) {
          printStat(context, changes);
        } else {
          printDiff(context, changes);
        }
      }),
    );
};
