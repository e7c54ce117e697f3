/** A tool rule in the program's own notation: "Write", "Bash(git *)", "mcp__files". */
interface ToolRule {
  readonly tool: string;
  /** What stands in the brackets; undefined if there are none. */
  readonly pattern: string | undefined;
}

/** Characters that make a command line more than one plain command. */
const shellSyntax = /[;&|<>`$(){}\n\\]/;

/**
 * Whether a rule that allows covers the call. Strict: the program has already applied its own reading of the
 * same rules, so this only decides about what it asks for all the same.
 */
export function allowedBy(rules: readonly string[], tool: string, input: Readonly<Record<string, unknown>>): boolean {
  return rules.map(readRule).some((rule) => {
    if (!coversTool(rule, tool)) return false;
    const { pattern } = rule;
    if (pattern === undefined) return true;
    const [subject, ...more] = subjectsOf(input);
    // A domain is the program's own business: an address that only mentions it must not pass.
    if (subject === undefined || more.length > 0 || pattern.startsWith("domain:")) return false;
    return !shellSyntax.test(subject) && matches(pattern, subject);
  });
}

/**
 * Whether a rule that denies covers the call. Generous: a pattern is tried on the whole and on each part of a
 * command line.
 */
export function deniedBy(rules: readonly string[], tool: string, input: Readonly<Record<string, unknown>>): boolean {
  return rules.map(readRule).some((rule) => {
    if (!coversTool(rule, tool)) return false;
    const { pattern } = rule;
    if (pattern === undefined) return true;
    return subjectsOf(input)
      .flatMap((it) => [it, ...it.split(/[;&|\n(){}`]+/)])
      .some((it) => matches(pattern, it.trim()));
  });
}

/** The name of the tool that a rule is about. */
export function toolOf(rule: string): string {
  return readRule(rule).tool;
}

function readRule(text: string): ToolRule {
  const open = text.indexOf("(");
  if (open < 0 || !text.endsWith(")")) return { tool: text.trim(), pattern: undefined };
  return { tool: text.slice(0, open).trim(), pattern: text.slice(open + 1, -1).trim() };
}

function coversTool(rule: ToolRule, tool: string): boolean {
  if (rule.tool === tool) return true;
  if (!rule.tool.startsWith("mcp__")) return false;
  // "mcp__files" and "mcp__files__*" both name every tool of that server.
  return tool.startsWith(`${rule.tool.replace(/__\*$/, "")}__`);
}

/** What a pattern is matched against: the command, path or address of the call. */
function subjectsOf(input: Readonly<Record<string, unknown>>): readonly string[] {
  const keys = ["command", "file_path", "notebook_path", "path", "url", "skill"];
  const values = keys.map((key) => input[key]).filter((value): value is string => typeof value === "string");
  return values.map((value) => value.trim());
}

/** "*" stands for anything, "git *" also covers a bare "git", "git:*" is the older spelling of "git *". */
function matches(pattern: string, subject: string): boolean {
  const normal = pattern.replace(/:\*$/, " *").replace(/^domain:(.*)$/, "*$1*");
  return subject === normal.replace(/ \*$/, "") || contains(normal.split("*"), subject);
}

/** Glob by pieces between the stars, without a regular expression that a pattern could make explode. */
function contains(pieces: readonly string[], subject: string): boolean {
  const [first = "", ...rest] = pieces;
  if (!subject.startsWith(first)) return false;
  if (rest.length === 0) return subject === first;
  const last = rest[rest.length - 1] ?? "";
  let at = first.length;
  for (const piece of rest.slice(0, -1)) {
    const found = subject.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return subject.length - last.length >= at && subject.endsWith(last);
}
