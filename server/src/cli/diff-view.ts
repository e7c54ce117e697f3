import { type ChangeSet, FileChangeKind } from "@agent-manager/sdk";
import type { Context } from "./context.js";
import { plainLine, visibleText } from "./untrusted.js";
import { enumWord, plural } from "./words.js";

/** Prints a change set as a unified diff, with its warnings. */
export function printDiff(context: Context, changes: ChangeSet): void {
  const { paint } = context;
  const diff = new TextDecoder().decode(changes.unifiedDiff);
  for (const line of visibleText(diff).replace(/\n$/, "").split("\n")) {
    context.print(paintLine(line, context));
  }
  printWarnings(context, changes);
  context.print(paint.dim(totals(changes)));
}

/** Prints the changed files with their counts. */
export function printStat(context: Context, changes: ChangeSet): void {
  const { paint } = context;
  for (const file of changes.files) {
    const name = file.oldPath === "" || file.oldPath === file.path ? file.path : `${file.oldPath} → ${file.path}`;
    const counts = file.binary ? "binary" : `${paint.green(`+${file.additions}`)} ${paint.red(`-${file.deletions}`)}`;
    context.print(`${enumWord(FileChangeKind[file.kind]).padEnd(9)} ${plainLine(name)}  ${counts}`);
  }
  printWarnings(context, changes);
  context.print(paint.dim(totals(changes)));
}

function totals(changes: ChangeSet): string {
  return `${plural(changes.files.length, "file")}, +${changes.additions} -${changes.deletions}`;
}

function printWarnings(context: Context, changes: ChangeSet): void {
  for (const warning of changes.warnings) {
    context.print(context.paint.yellow(`! ${plainLine(warning)}`));
  }
}

function paintLine(line: string, { paint }: Context): string {
  if (/^(diff --git|index |--- |\+\+\+ |(new|deleted) file|old mode|new mode|rename |similarity )/.test(line)) {
    return paint.bold(line);
  }
  switch (line[0]) {
    case "+":
      return paint.green(line);
    case "-":
      return paint.red(line);
    case "@":
      return paint.cyan(line);
    default:
      return line;
  }
}
