import { exitCodeHelp, exitCodeOf, exitCodes } from "../exit-codes.js";
import { followRun, resultLine } from "../follow-run.js";
import { wholeNumber } from "../options.js";
import type { RegisterCommand } from "../register.js";
import { findRun } from "../run-reference.js";

interface WatchFlags {
  readonly after?: number;
  readonly deltas?: boolean;
}

export const addWatchCommand: RegisterCommand = (program, withContext) => {
  program
    .command("watch <run>")
    .description("Show a run's events from the first, and go on until its agent is done.")
    .option("--after <sequence>", "only events after this one", wholeNumber)
    .option("--deltas", "with --json: print partial text too")
    .addHelpText(
      "after",
      `
RUN is an id, the beginning or end of a recent one, or "last".

Examples:
  $ agent-manager watch last
  $ agent-manager watch 3f2a91c0 --after 120 --json
${exitCodeHelp}`,
    )
    .action(
      withContext(async (context, reference: string, flags: WatchFlags) => {
        const am = await context.connect();
        try {
          const run = await findRun(am, reference);
          const result = await followRun(context, run, {
            after: BigInt(flags.after ?? 0),
            stopOnInterrupt: false,
            deltas: flags.deltas ?? false,
          });
          if (result === undefined) {
            return exitCodes.detached;
          }
          if (context.globals.json) {
            const { kind, review, reason } = result;
            context.printJson({ outcome: { kind, review, reason, runId: run.id, exitCode: exitCodeOf(result) } });
          } else {
            context.print(resultLine(context, result));
          }
          return exitCodeOf(result);
        } finally {
          am.close();
        }
      }),
    );
};
