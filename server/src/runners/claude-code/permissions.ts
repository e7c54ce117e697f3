import { PermissionDecision, PermissionMode, type RunConfig } from "@agent-manager/sdk/proto";
import type { Item } from "./draft.js";
import { type Frame, type Json, jsonText, object, objects, text } from "./frame.js";
import { allowedBy, deniedBy } from "./tool-rules.js";
import { toolTitle } from "./tools.js";

/** What becomes of a request of the program, and what it is told. */
export interface Answer {
  readonly items: readonly Item[];
  /** The line for the program's standard input. */
  readonly line: string;
}

interface Verdict {
  readonly allowed: boolean;
  readonly actor: string;
  readonly message: string;
}

/** The tool by which the agent asks the user something. */
const questionTool = "AskUserQuestion";

/** Answers a request for permission at once: by the rules of the run's config, else with no. */
export function answerPermission(frame: Frame, config: RunConfig): Answer {
  const request = object(frame.json, "request") ?? {};
  const tool = text(request, "tool_name");
  const input = object(request, "input") ?? {};
  if (tool === questionTool) return answerQuestion(frame, input);
  const verdict = judge(tool, input, config);
  const asked = {
    tool,
    title: text(request, "title") || toolTitle(tool, input),
    inputJson: jsonText(request.input),
  };
  const decision = verdict.allowed ? PermissionDecision.ALLOWED : PermissionDecision.DENIED;
  const resolved = { decision, actor: verdict.actor, message: verdict.message };
  const ids = { itemId: text(request, "tool_use_id"), requestId: text(frame.json, "request_id") };
  return {
    items: [
      { ...ids, event: { case: "permissionRequested", value: asked } },
      { ...ids, event: { case: "permissionResolved", value: resolved } },
    ],
    line: success(
      frame,
      verdict.allowed ? { behavior: "allow", updatedInput: input } : { behavior: "deny", message: verdict.message },
    ),
  };
}

/** Answers a request that this adapter does not know, so that the program does not wait for ever. */
export function refuseRequest(frame: Frame): string {
  const subtype = text(object(frame.json, "request"), "subtype");
  const error = `Unsupported control request subtype: ${subtype}`;
  return controlResponse({ subtype: "error", request_id: text(frame.json, "request_id"), error });
}

/** Answers a dialog or an MCP server's question: nobody is there. */
export function cancelRequest(frame: Frame): string {
  const elicitation = text(object(frame.json, "request"), "subtype") === "elicitation";
  return success(frame, elicitation ? { action: "cancel" } : { behavior: "cancelled" });
}

/** Deny beats everything; read only beats allow; what nobody decided is denied. */
function judge(tool: string, input: Json, config: RunConfig): Verdict {
  if (deniedBy(config.tools?.denied ?? [], tool, input)) {
    return { allowed: false, actor: "tools.denied", message: `the run's tool rules deny ${tool}. Go on without it.` };
  }
  if (config.permissionMode === PermissionMode.READ_ONLY) {
    return {
      allowed: false,
      actor: "read only",
      message: `this run may only read: ${tool} is denied. Go on without it.`,
    };
  }
  if (config.permissionMode === PermissionMode.FULL_AUTO) return { allowed: true, actor: "full auto", message: "" };
  if (allowedBy(config.tools?.allowed ?? [], tool, input))
    return { allowed: true, actor: "tools.allowed", message: "" };
  return {
    allowed: false,
    actor: "default",
    message: `nobody answered the request for permission to use ${tool}, so it was denied by default. Go on without it and say what you could not do.`,
  };
}

function answerQuestion(frame: Frame, input: Json): Answer {
  const itemId = text(object(frame.json, "request"), "tool_use_id");
  const requestId = text(frame.json, "request_id");
  const message = "nobody is there to answer. Decide yourself and say what you assumed.";
  return {
    items: objects(input, "questions").flatMap((question): readonly Item[] => {
      const options = objects(question, "options").map((option) => text(option, "label"));
      return [
        { itemId, requestId, event: { case: "questionAsked", value: { text: text(question, "question"), options } } },
        { itemId, requestId, event: { case: "questionAnswered", value: { text: message, actor: "default" } } },
      ];
    }),
    line: success(frame, { behavior: "deny", message }),
  };
}

function success(frame: Frame, response: Json): string {
  return controlResponse({ subtype: "success", request_id: text(frame.json, "request_id"), response });
}

function controlResponse(response: Json): string {
  return jsonText({ type: "control_response", response });
}
