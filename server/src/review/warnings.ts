import { type BytePath, toText } from "./byte-path.js";
import type { PathChange } from "./path-change.js";
import { isProtected } from "./protected-path.js";
import type { Walk } from "./walk.js";

/** Files that changed but are not part of the change set. */
export interface LeftOut {
  readonly ignored: readonly BytePath[];
  readonly nested: readonly BytePath[];
}

interface WarningRequest {
  readonly leftOut: LeftOut;
  readonly walk: Walk;
  readonly changes: readonly PathChange[];
  readonly newNested: readonly BytePath[];
}

/** What a reviewer should know beside the diff; always in the same order. */
export function warningsFor({ leftOut, walk, changes, newNested }: WarningRequest): readonly string[] {
  const outward = changes.filter(({ path, linkTarget }) => linkTarget !== undefined && leadsOut(path, linkTarget));
  const refused = changes.filter(({ path }) => isProtected(path));
  return [
    ...about("ignored or nested files changed and are left out", leftOut.ignored),
    ...about("nested repositories are left out, or only their tracked files are included", newNested),
    ...about("files in nested repositories are left out", leftOut.nested),
    ...about("sockets, pipes and devices are left out", [...walk.special].sort()),
    ...about("folders that cannot be read are taken as unchanged", [...walk.unreadable].sort()),
    ...about(
      "files are too large to be shown in the diff",
      changes.filter(({ large }) => large).map(({ path }) => path),
    ),
    ...outward.map(({ path, linkTarget }) => `${quote(path)} links out of the project, to ${quote(linkTarget ?? "")}`),
    ...refused.map(({ path }) => `${quote(path)} is a path that no run may write; it cannot be approved`),
  ];
}

/** Judged by the text of the link alone: what it meets on the way can change at any time. */
function leadsOut(path: BytePath, target: BytePath): boolean {
  if (target.startsWith("/")) return true;
  let depth = path.split("/").length - 1;
  for (const part of target.split("/")) {
    if (part === "..") depth -= 1;
    else if (part !== "" && part !== ".") depth += 1;
    if (depth < 0) return true;
  }
  return false;
}

function about(what: string, paths: readonly BytePath[]): readonly string[] {
  if (paths.length === 0) return [];
  const named = paths.slice(0, 10).map(quote).join(", ");
  const more = paths.length > 10 ? ` and ${paths.length - 10} more` : "";
  return [`${paths.length} ${what}: ${named}${more}`];
}

/** Names come from the agent: no line breaks or control characters in what people read. */
function quote(path: BytePath): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return /[\u0000-\u001f\u007f"\\]/.test(path) ? JSON.stringify(toText(path)) : toText(path);
}
