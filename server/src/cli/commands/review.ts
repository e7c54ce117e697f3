import { RunSchema } from "@agent-manager/sdk/proto";
import { toJson } from "@bufbuild/protobuf";
import type { RegisterCommand } from "../register.js";
import { findRun } from "../run-reference.js";
import { plainLine } from "../untrusted.js";
import { plural } from "../words.js";

interface ReviewFlags {
  readonly digest?: string;
  readonly comment?: string;
}

/** `approve` and `reject`. */
export const addReviewCommands: RegisterCommand = (program, withContext) => {
  program
    .command("approve <run>")
    .description("Apply a run's changes to the project: all of them, or none and a list of conflicts.")
    .option("--digest <digest>", "approve only if the changes are still these (see `agent-manager show`)")
    .option("--comment <text>", "why")
    .addHelpText(
      "after",
      "\nExamples:\n  $ agent-manager approve last\n  $ agent-manager approve 3f2a91c0 --digest 5b1c...",
    )
    .action(
      withContext(async (context, reference: string, flags: ReviewFlags) => {
        const am = await context.connect();
        const { run, appliedFiles } = await (await findRun(am, reference)).approve(given(flags));
        am.close();
        if (context.globals.json) {
          context.printJson({ run: toJson(RunSchema, run), appliedFiles });
          return;
        }
        context.print(
          context.paint.green(`✓ applied ${plural(appliedFiles.length, "file")} to ${plainLine(run.projectRoot)}`),
        );
        for (const file of appliedFiles) {
          context.print(`  ${plainLine(file)}`);
        }
      }),
    );
  program
    .command("reject <run>")
    .description("Discard a run's changes.")
    .option("--comment <text>", "why")
    .action(
      withContext(async (context, reference: string, flags: ReviewFlags) => {
        const am = await context.connect();
        const run = await (await findRun(am, reference)).reject(given(flags));
        am.close();
        if (context.globals.json) {
          context.printJson(toJson(RunSchema, run));
        } else {
          context.print(`rejected the changes of run ${run.runId}`);
        }
      }),
    );
};

function given(flags: ReviewFlags): ReviewFlags {
  return {
    ...(flags.digest === undefined ? {} : { digest: flags.digest }),
    ...(flags.comment === undefined ? {} : { comment: flags.comment }),
  };
}
