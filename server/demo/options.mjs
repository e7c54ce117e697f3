const flags = new Set(["-p", "--print", "--verbose", "--include-partial-messages", "--strict-mcp-config"]);
const lists = new Set(["--allowedTools", "--disallowedTools", "--mcp-config", "--add-dir"]);

/** Reads the arguments of claude that matter here; the others are taken and ignored. */
export function readOptions(args) {
  const values = new Map();
  for (let at = 0; at < args.length; at += 1) {
    const name = args[at];
    if (name === "--version" || name === "-v") return { version: true };
    if (flags.has(name)) values.set(name, true);
    else if (lists.has(name)) {
      const from = at + 1;
      while (at + 1 < args.length && !args[at + 1].startsWith("--")) at += 1;
      values.set(name, args.slice(from, at + 1));
    } else values.set(name, args[++at]);
  }
  return {
    version: false,
    sessionId: values.get("--session-id"),
    resume: values.get("--resume"),
    model: values.get("--model") ?? "claude-scripted-1",
    permissionMode: values.get("--permission-mode") ?? "default",
    maxTurns: Number(values.get("--max-turns") ?? 0),
    partial: values.has("--include-partial-messages"),
    allowed: values.get("--allowedTools") ?? [],
    denied: values.get("--disallowedTools") ?? [],
  };
}
