import type { ChangeSet, RunHandle, RunResult } from "@agent-manager/sdk";
import { resultOf } from "@agent-manager/sdk";
import type { Context } from "./context.js";
import { printDiff } from "./diff-view.js";
import { plural } from "./words.js";

/** What the person decided beforehand. "ask": nothing; without a terminal that means later. */
export type ReviewChoice = "approve" | "reject" | "later" | "ask";

/** How the review ended. */
export interface Reviewed {
  readonly result: RunResult;
  readonly appliedFiles: readonly string[];
}

/** Shows what a run wants to change and does what was decided about it. */
export async function reviewRun(
  context: Context,
  run: RunHandle,
  { result, choice }: { result: RunResult; choice: ReviewChoice },
): Promise<Reviewed> {
  if (result.review !== "pending") {
    return { result, appliedFiles: [] };
  }
  const changes = await run.changes();
  if (!context.globals.json) {
    context.print();
    printDiff(context, changes);
  }
  switch (choice === "ask" ? await askChoice(context) : choice) {
    case "approve":
      return await approve(context, run, changes);
    case "reject":
      return { result: resultOf(await run.reject()), appliedFiles: [] };
    case "later":
      sayHowToDecide(context, run.id);
      return { result, appliedFiles: [] };
  }
}

/** Approves exactly the change set that was shown. */
async function approve(context: Context, run: RunHandle, changes: ChangeSet): Promise<Reviewed> {
  const approval = await run.approve({ digest: changes.digest });
  if (!context.globals.json) {
    context.print(context.paint.green(`✓ applied ${plural(approval.appliedFiles.length, "file")} to the project`));
  }
  return { result: resultOf(approval.run), appliedFiles: approval.appliedFiles };
}

async function askChoice(context: Context): Promise<"approve" | "reject" | "later"> {
  if (!context.terminal.interactive || context.globals.json) {
    return "later";
  }
  for (;;) {
    const answer = await context.terminal.ask("apply these changes? [y]es / [n]o (reject) / [l]ater ");
    switch (answer.trim().toLowerCase()) {
      case "y":
      case "yes":
        return "approve";
      case "n":
      case "no":
        return "reject";
      case "": // Enter, Ctrl-C or the end of input decides nothing
      case "l":
      case "later":
        return "later";
    }
  }
}

function sayHowToDecide(context: Context, runId: string): void {
  context.terminal.note(
    `the changes wait for review: \`agent-manager approve ${runId}\` applies them, \`agent-manager reject ${runId}\` discards them`,
  );
}
