import type { BytePath } from "./byte-path.js";

/** One file of a unified diff. A change of type (file to link) comes as two: a deletion and an addition. */
export interface DiffSection {
  readonly path: BytePath;
  readonly binary: boolean;
  readonly hunks: readonly DiffHunk[];
}

interface DiffHunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  readonly additions: number;
  readonly deletions: number;
  /** Header and lines, as latin1 text. */
  readonly text: string;
  /** The lines without the header, whose numbers move when other hunks change. */
  readonly body: string;
}

/**
 * Parses what `git diff-tree -p --binary --no-renames` writes, as latin1 text. Strict: lines that it does not expect
 * are an error, never skipped, since what is shown must be what is applied.
 */
export function parseDiff(text: string): readonly DiffSection[] {
  const lines = new Lines(text);
  const sections: DiffSection[] = [];
  while (!lines.atEnd) sections.push(parseSection(lines));
  return sections;
}

function parseSection(lines: Lines): DiffSection {
  const path = parseHeader(lines.take());
  while (/^(old mode|new mode|deleted file mode|new file mode|index) /.test(lines.peek())) lines.take();
  if (lines.peek() === "GIT binary patch" || lines.peek().startsWith("Binary files ")) {
    while (!lines.atEnd && !lines.peek().startsWith("diff --git ")) lines.take();
    return { path, binary: true, hunks: [] };
  }
  const hunks: DiffHunk[] = [];
  if (lines.peek().startsWith("--- ")) {
    lines.take();
    lines.expect("+++ ");
    while (lines.peek().startsWith("@@ ")) hunks.push(parseHunk(lines));
  }
  if (!lines.atEnd && !lines.peek().startsWith("diff --git ")) throw unexpected(lines.peek());
  return { path, binary: false, hunks };
}

/** Without renames both names are the same, which tells where an unquoted name with blanks ends. */
function parseHeader(line: string): BytePath {
  if (!line.startsWith("diff --git ")) throw unexpected(line);
  const rest = line.slice("diff --git ".length);
  const half = (rest.length - 1) / 2;
  const [first, second] = [unquote(rest.slice(0, half)), unquote(rest.slice(half + 1))];
  if (!first.startsWith("a/") || !second.startsWith("b/") || first.slice(2) !== second.slice(2)) throw unexpected(line);
  return first.slice(2);
}

function parseHunk(lines: Lines): DiffHunk {
  const start = lines.position;
  const header = lines.take();
  const numbers = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(header);
  if (numbers === null) throw unexpected(header);
  const [oldStart, oldLines, newStart, newLines] = [1, 2, 3, 4].map((group) => Number(numbers[group] ?? 1));
  if (oldStart === undefined || oldLines === undefined || newStart === undefined || newLines === undefined) {
    throw unexpected(header);
  }
  const bodyStart = lines.position;
  const counts = takeBody(lines, { oldLines, newLines });
  const [text, body] = [lines.since(start), lines.since(bodyStart)];
  return { oldStart, oldLines, newStart, newLines, ...counts, text, body };
}

/** By count, not by look: a removed line "-- a/x" reads like a header. */
function takeBody(
  lines: Lines,
  { oldLines, newLines }: Pick<DiffHunk, "oldLines" | "newLines">,
): Pick<DiffHunk, "additions" | "deletions"> {
  let [old, added, deleted] = [0, 0, 0];
  while (old < oldLines || old - deleted + added < newLines || lines.peek().startsWith("\\")) {
    const line = lines.take();
    if (line.startsWith("+")) added += 1;
    else if (line.startsWith("\\"))
      continue; // no line end at the end of the file
    else if (line.startsWith("-") || line.startsWith(" ")) {
      old += 1;
      if (line.startsWith("-")) deleted += 1;
    } else throw unexpected(line);
  }
  if (old !== oldLines || old - deleted + added !== newLines) throw unexpected(lines.peek());
  return { additions: added, deletions: deleted };
}

/** Undoes git's C-style quoting; names without it are returned as they are. */
export function unquote(name: string): string {
  if (!name.startsWith('"')) return name;
  if (!name.endsWith('"') || name.length < 2) throw unexpected(name);
  return name.slice(1, -1).replace(/\\([0-7]{3}|.)/g, (_, code: string) => {
    if (code.length === 3) return String.fromCharCode(Number.parseInt(code, 8));
    const plain = escapes.get(code);
    if (plain === undefined) throw unexpected(name);
    return plain;
  });
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["a", "\x07"],
  ["b", "\b"],
  ["t", "\t"],
  ["n", "\n"],
  ["v", "\v"],
  ["f", "\f"],
  ["r", "\r"],
  ['"', '"'],
  ["\\", "\\"],
]);

function unexpected(line: string): Error {
  return new Error(`git's diff has an unexpected line: ${JSON.stringify(line.slice(0, 200))}`);
}

/** Reads line by line without splitting the whole text, which can be tens of megabytes. */
class Lines {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  get position(): number {
    return this.#at;
  }

  /** The next line without its end; empty at the end of the text. */
  peek(): string {
    return this.#text.slice(this.#at, this.#end());
  }

  take(): string {
    if (this.atEnd) throw unexpected("");
    const line = this.peek();
    this.#at = this.#end() + 1;
    return line;
  }

  expect(start: string): void {
    const line = this.take();
    if (!line.startsWith(start)) throw unexpected(line);
  }

  since(position: number): string {
    return this.#text.slice(position, this.#at);
  }

  #end(): number {
    const end = this.#text.indexOf("\n", this.#at);
    return end === -1 ? this.#text.length : end;
  }
}
