import { ToolKind } from "@agent-manager/sdk/proto";
import type { Item } from "./draft.js";
import { type Json, jsonText, object, text } from "./frame.js";

const kinds: Readonly<Record<string, ToolKind>> = {
  Read: ToolKind.READ,
  NotebookRead: ToolKind.READ,
  LS: ToolKind.READ,
  Edit: ToolKind.EDIT,
  MultiEdit: ToolKind.EDIT,
  Write: ToolKind.EDIT,
  NotebookEdit: ToolKind.EDIT,
  Bash: ToolKind.EXECUTE,
  BashOutput: ToolKind.EXECUTE,
  KillShell: ToolKind.EXECUTE,
  Monitor: ToolKind.EXECUTE,
  REPL: ToolKind.EXECUTE,
  Glob: ToolKind.SEARCH,
  Grep: ToolKind.SEARCH,
  ToolSearch: ToolKind.SEARCH,
  WebFetch: ToolKind.FETCH,
  WebSearch: ToolKind.FETCH,
  web_search: ToolKind.FETCH,
  web_fetch: ToolKind.FETCH,
  TodoWrite: ToolKind.PLAN,
  TaskCreate: ToolKind.PLAN,
  TaskUpdate: ToolKind.PLAN,
  TaskGet: ToolKind.PLAN,
  TaskList: ToolKind.PLAN,
  EnterPlanMode: ToolKind.PLAN,
  ExitPlanMode: ToolKind.PLAN,
  Task: ToolKind.AGENT,
  Agent: ToolKind.AGENT,
  Workflow: ToolKind.AGENT,
  SendMessage: ToolKind.AGENT,
  ListMcpResources: ToolKind.MCP,
  ReadMcpResource: ToolKind.MCP,
};

/**
 * A call of a tool. One representation for all tools: the call and, under the same item id, its result. A shell
 * command is no exception; the kind says that it is one.
 */
export function toolCall(block: Json): Item {
  const name = text(block, "name");
  const input = object(block, "input") ?? {};
  return {
    itemId: text(block, "id"),
    event: {
      case: "toolCall",
      value: {
        name,
        kind: toolKind(name),
        title: toolTitle(name, input),
        inputJson: jsonText(block.input),
        paths: [...toolPaths(input)],
      },
    },
  };
}

function toolKind(name: string): ToolKind {
  if (name.startsWith("mcp__")) return ToolKind.MCP;
  return Object.hasOwn(kinds, name) ? (kinds[name] ?? ToolKind.OTHER) : ToolKind.OTHER;
}

/** A line for people: what the tool is used on. */
export function toolTitle(name: string, input: Json): string {
  const keys = ["command", "file_path", "notebook_path", "pattern", "url", "query", "subject", "description", "path"];
  const subject = keys.map((key) => text(input, key)).find((value) => value !== "") ?? "";
  const line = subject.split("\n")[0] ?? "";
  return `${name} ${line}`.trim().slice(0, 200);
}

function toolPaths(input: Json): readonly string[] {
  return ["file_path", "notebook_path", "path"].map((key) => text(input, key)).filter((path) => path !== "");
}
