import { FileChangeKind } from "@agent-manager/sdk/proto";
import type { Item } from "./draft.js";
import { type Json, number, objects, text, texts } from "./frame.js";

/**
 * The hint that a file was changed, from the structured result of an editing tool; nothing if the result is of
 * another kind.
 */
export function fileChange(toolUseId: string, result: Json): readonly Item[] {
  const path = text(result, "filePath");
  if (path === "" || !Array.isArray(result.structuredPatch)) return [];
  const created = text(result, "type") === "create";
  const kind = created ? FileChangeKind.ADDED : FileChangeKind.MODIFIED;
  const hunks = created
    ? wholeFile(text(result, "content"))
    : objects(result, "structuredPatch").map(hunkText).join("");
  const diff = hunks === "" ? "" : `--- ${created ? "/dev/null" : path}\n+++ ${path}\n${hunks}`;
  return [{ itemId: toolUseId, event: { case: "fileChange", value: { path, kind, diff } } }];
}

function hunkText(hunk: Json): string {
  const from = `${number(hunk, "oldStart")},${number(hunk, "oldLines")}`;
  const to = `${number(hunk, "newStart")},${number(hunk, "newLines")}`;
  return [`@@ -${from} +${to} @@`, ...texts(hunk, "lines")].map((line) => `${line}\n`).join("");
}

function wholeFile(content: string): string {
  if (content === "") return "";
  const lines = content.replace(/\n$/, "").split("\n");
  const end = content.endsWith("\n") ? "" : "\\ No newline at end of file\n";
  return `@@ -0,0 +1,${lines.length} @@\n${lines.map((line) => `+${line}\n`).join("")}${end}`;
}
