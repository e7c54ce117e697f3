import type { Colors } from "picocolors/types.js";

/** How a line is to look. */
export type Tone = "plain" | "dim" | "tool" | "good" | "warning" | "bad";

export function paintTone(paint: Colors, tone: Tone, text: string): string {
  switch (tone) {
    case "plain":
      return text;
    case "dim":
      return paint.dim(text);
    case "tool":
      return paint.cyan(text);
    case "good":
      return paint.green(text);
    case "warning":
      return paint.yellow(text);
    case "bad":
      return paint.red(text);
    default:
      return tone satisfies never;
  }
}
