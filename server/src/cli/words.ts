import { type Run, RunState, TaskState } from "@agent-manager/sdk";
import { timestampDate } from "@bufbuild/protobuf/wkt";

type Instant = NonNullable<Run["createTime"]>;

/** "needs review" for RunState.NEEDS_REVIEW. */
export function stateWord(state: RunState): string {
  return enumWord(RunState[state]);
}

/** "needs review" for TaskState.NEEDS_REVIEW. */
export function taskStateWord(state: TaskState): string {
  return enumWord(TaskState[state]);
}

/** "needs review" for "NEEDS_REVIEW"; "unknown" for a value of a newer service. */
export function enumWord(name: string | undefined): string {
  return name === undefined ? "unknown" : name.toLowerCase().replaceAll("_", " ");
}

/** "4.2 s", "3 min 5 s", "2 h 10 min". */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) {
    return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  }
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "3 min ago"; empty if the time is not known. */
export function ago(time: Instant | undefined, now = Date.now()): string {
  if (time === undefined) {
    return "";
  }
  const seconds = Math.max(0, (now - timestampDate(time).getTime()) / 1000);
  for (const [unit, length] of [
    ["d", 86_400],
    ["h", 3_600],
    ["min", 60],
  ] as const) {
    if (seconds >= length) {
      return `${Math.floor(seconds / length)} ${unit} ago`;
    }
  }
  return `${Math.floor(seconds)} s ago`;
}

/** "1.2k" for 1234. */
function count(value: bigint | number): string {
  const number = Number(value);
  if (number < 1_000) {
    return String(number);
  }
  return number < 1_000_000 ? `${(number / 1_000).toFixed(1)}k` : `${(number / 1_000_000).toFixed(1)}M`;
}

/** "1 file", "2 files". */
export function plural(amount: number, word: string): string {
  return `${amount} ${word}${amount === 1 ? "" : "s"}`;
}

/** "1.2k tokens in, 80 out, $0.0123, 2 turns"; empty for nothing used. */
export function usageWords(usage: Run["usage"]): string {
  if (usage === undefined || usage.inputTokens + usage.outputTokens + usage.cacheReadTokens === 0n) {
    return "";
  }
  const input = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
  const parts = [`${count(input)} tokens in`, `${count(usage.outputTokens)} out`];
  if (usage.costUsd > 0) {
    parts.push(`$${usage.costUsd.toFixed(4)}`);
  }
  if (usage.turns > 0) {
    parts.push(plural(usage.turns, "turn"));
  }
  return parts.join(", ");
}
