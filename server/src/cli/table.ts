import type { Context } from "./context.js";
import { plainLine, shorten } from "./untrusted.js";

/** Prints rows in columns; cells are made plain, and the last column is cut at the terminal's edge. */
export function printTable(context: Context, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const cells = rows.map((row) => row.map(plainLine));
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === head.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  ");
  const fit = (text: string) => (context.terminal.tty ? shorten(text, context.terminal.columns) : text);
  context.print(context.paint.dim(fit(line(head))));
  for (const row of cells) {
    context.print(fit(line(row)));
  }
}

/** Prints names and values below each other; rows without a value are left out. */
export function printFields(context: Context, fields: readonly (readonly [string, string])[]): void {
  const shown = fields.filter(([, value]) => value !== "");
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  for (const [name, value] of shown) {
    context.print(`${context.paint.dim(name.padEnd(width))}  ${plainLine(value)}`);
  }
}
