import { type Run, RunOutcome } from "@agent-manager/sdk";
import { RunSchema } from "@agent-manager/sdk/proto";
import { toJson } from "@bufbuild/protobuf";
import type { RegisterCommand } from "../register.js";
import { findRun } from "../run-reference.js";
import { printFields } from "../table.js";
import { plainText } from "../untrusted.js";
import { ago, enumWord, plural, stateWord, usageWords } from "../words.js";

export const addShowCommand: RegisterCommand = (program, withContext) => {
  program
    .command("show <run>")
    .description("Show one run: where it stands, what it used, what it said last.")
    .addHelpText("after", '\nRUN is an id, the beginning or end of a recent one, or "last".')
    .action(
      withContext(async (context, reference: string) => {
        const am = await context.connect();
        const { snapshot } = await findRun(am, reference);
        am.close();
        if (context.globals.json) {
          context.printJson(toJson(RunSchema, snapshot));
          return;
        }
        printFields(context, fieldsOf(snapshot));
        if (snapshot.result !== "") {
          context.print(`\n${plainText(snapshot.result)}`);
        }
      }),
    );
};

function fieldsOf(run: Run): readonly (readonly [string, string])[] {
  const { changeSet, sandbox } = run;
  return [
    ["run", run.runId],
    ["title", run.title],
    ["state", run.stateReason === "" ? stateWord(run.state) : `${stateWord(run.state)}: ${run.stateReason}`],
    ["outcome", run.outcome === RunOutcome.UNSPECIFIED ? "" : enumWord(RunOutcome[run.outcome])],
    ["created", ago(run.createTime)],
    ["ended", ago(run.endTime)],
    ["project", run.projectRoot],
    ["runner", [run.config?.runner, run.model].filter(Boolean).join(" · ")],
    [
      "sandbox",
      sandbox === undefined ? "" : `${sandbox.driver} (${sandbox.provider})${sandbox.confined ? "" : ", not confined"}`,
    ],
    [
      "labels",
      Object.entries(run.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(" "),
    ],
    ["session", run.sessionId],
    ["usage", usageWords(run.usage)],
    [
      "changes",
      changeSet === undefined
        ? ""
        : `${plural(changeSet.files, "file")}, +${changeSet.additions} -${changeSet.deletions}`,
    ],
    ["digest", changeSet?.digest ?? ""],
    ["events", String(run.lastSequence)],
  ];
}
