import type { Comparison, Sample } from "./statistics.js";

/** One line of the table. */
export interface Row {
  readonly what: string;
  readonly measured: string;
  readonly limit: string;
  readonly result: string;
  readonly target: string;
  /** Undefined where the design sets no target. */
  readonly reached: boolean | undefined;
}

export interface Target {
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface ComparisonRow {
  readonly what: string;
  readonly comparison: Comparison;
  readonly format: (value: number) => string;
  readonly limitName: string;
  readonly target: Target;
}

export function comparisonRow({ what, comparison, format, limitName, target }: ComparisonRow): Row {
  const { measured, limit, ratio } = comparison;
  return {
    what,
    measured: `${format(measured.median)} (${format(measured.min)}-${format(measured.max)})`,
    limit: `${limitName} ${format(limit.median)} (${format(limit.min)}-${format(limit.max)})`,
    result: `${ratio.median.toFixed(2)}x (${ratio.min.toFixed(2)}-${ratio.max.toFixed(2)})`,
    ...judge(ratio.median, target, "x"),
  };
}

/** Whether a figure is where it should be. */
export function judge(value: number, { atLeast, atMost }: Target, unit: string): Pick<Row, "target" | "reached"> {
  if (atLeast !== undefined) return { target: `>= ${atLeast}${unit}`, reached: value >= atLeast };
  if (atMost !== undefined) return { target: `<= ${atMost}${unit}`, reached: value <= atMost };
  return { target: "", reached: undefined };
}

export function perSecond(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M/s`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(0)}k/s` : `${value.toFixed(0)}/s`;
}

export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function spread({ median, min, max }: Sample, format: (value: number) => string): string {
  return `${format(median)} (${format(min)}-${format(max)})`;
}

export function formatTable(rows: readonly Row[]): string {
  const head = ["what", "measured (min-max)", "limit in the same run", "result", "target", "reached"];
  const lines = rows.map(({ what, measured, limit, result, target, reached }) => {
    const verdict = reached === undefined ? "" : reached ? "yes" : "NO";
    return [what, measured, limit, result, target, verdict];
  });
  const widths = head.map((name, column) => Math.max(name.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const format = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [format(head), rule, ...lines.map(format)].join("\n");
}
