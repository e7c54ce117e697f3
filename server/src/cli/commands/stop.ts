import { RunSchema } from "@agent-manager/sdk/proto";
import { toJson } from "@bufbuild/protobuf";
import type { RegisterCommand } from "../register.js";
import { findRun } from "../run-reference.js";
import { stateWord } from "../words.js";

export const addStopCommand: RegisterCommand = (program, withContext) => {
  program
    .command("stop <run>")
    .description("Ask a run to stop. What it changed so far stays reviewable.")
    .option("--comment <text>", "why")
    .action(
      withContext(async (context, reference: string, flags: { readonly comment?: string }) => {
        const am = await context.connect();
        const run = await findRun(am, reference);
        const stopped = await run.stop(flags.comment === undefined ? {} : { comment: flags.comment });
        am.close();
        if (context.globals.json) {
          context.printJson(toJson(RunSchema, stopped));
        } else {
          context.print(`asked run ${run.id} to stop (it is ${stateWord(stopped.state)})`);
        }
      }),
    );
};
