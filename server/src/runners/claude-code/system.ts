import { PermissionDecision } from "@agent-manager/sdk/proto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Item, native, progress } from "./draft.js";
import { type Frame, type Json, number, object, objects, text, texts, uint32 } from "./frame.js";

/** System frames that are nothing to a reader: they only say that the program is alive. */
const silent: ReadonlySet<string> = new Set([
  "commands_changed",
  "session_state_changed",
  "thinking_tokens",
  "turn_duration",
  "turn_starting",
]);

/** System frames that say that something moves on. */
const moving: ReadonlySet<string> = new Set([
  "agents_killed",
  "compact_boundary",
  "elicitation_complete",
  "hook_progress",
  "hook_response",
  "hook_started",
  "informational",
  "local_command",
  "local_command_output",
  "notification",
  "permission_retry",
  "plugin_install",
  "task_notification",
  "task_progress",
  "task_started",
  "task_summary",
  "task_updated",
]);

/** The events of a system frame; undefined for a subtype that is not known. */
export function systemItems(frame: Frame): readonly Item[] | undefined {
  const { json } = frame;
  const subtype = text(json, "subtype");
  if (silent.has(subtype)) return [];
  if (moving.has(subtype)) return [progress(subtype, describe(json), text(json, "tool_use_id"))];
  switch (subtype) {
    case "status":
      return statusItems(json);
    case "api_retry":
      return [retryItem(json)];
    case "permission_denied":
      return [deniedItem(json)];
    case "model_fallback":
    case "model_refusal_fallback":
    case "model_consent_fallback":
      return [fallbackItem(json)];
    default:
      return undefined;
  }
}

/** The session as an init frame describes it. */
export function sessionItem(json: Json, resumed: boolean): Item {
  const value = {
    sessionId: text(json, "session_id"),
    resumed,
    model: text(json, "model"),
    runnerVersion: text(json, "claude_code_version"),
    workingDirectory: text(json, "cwd"),
    tools: [...texts(json, "tools")],
    permissionMode: text(json, "permissionMode"),
    mcpServers: objects(json, "mcp_servers").map((server) => `${text(server, "name")}: ${text(server, "status")}`),
  };
  return { event: { case: "sessionBound", value } };
}

/** Every request to the model is announced; only the rarer states are worth an event. */
function statusItems(json: Json): readonly Item[] {
  const status = text(json, "status");
  return status === "" || status === "requesting" ? [] : [progress(status, "")];
}

function retryItem(json: Json): Item {
  const value = {
    attempt: uint32(json, "attempt"),
    maxAttempts: uint32(json, "max_retries"),
    delayMs: uint32(json, "retry_delay_ms"),
    reason: text(json, "error"),
    httpStatus: uint32(json, "error_status"),
  };
  return { event: { case: "retry", value } };
}

function deniedItem(json: Json): Item {
  const value = { decision: PermissionDecision.DENIED, actor: "claude-code", message: text(json, "message") };
  return { itemId: text(json, "tool_use_id"), event: { case: "permissionResolved", value } };
}

function fallbackItem(json: Json): Item {
  const value = { from: text(json, "original_model"), to: text(json, "fallback_model"), reason: text(json, "trigger") };
  return { event: { case: "fallback", value } };
}

/** A sentence from whatever the frame has: its own words, or the few values that matter. */
function describe(json: Json): string {
  const words = ["content", "text", "summary", "description", "detail", "output", "hook_name", "name"];
  const said = words.map((key) => text(json, key)).find((value) => value !== "");
  const status = text(json, "status") || text(object(json, "patch"), "status") || text(json, "outcome");
  const tokens = number(object(json, "compact_metadata"), "pre_tokens");
  return [status, said, tokens === 0 ? "" : `${tokens} tokens before`].filter(Boolean).join(": ");
}

/** The events of frames that are neither conversation nor control; undefined for a type that is not known. */
export function otherItems(frame: Frame): readonly Item[] | undefined {
  const { json } = frame;
  switch (text(json, "type")) {
    // Repeats what is known, or only keeps the line open.
    case "control_cancel_request":
    case "keep_alive":
    case "prompt_suggestion":
      return [];
    case "tool_progress": {
      const seconds = number(json, "elapsed_time_seconds");
      return [progress("tool_progress", `${text(json, "tool_name")}: ${seconds} s`, text(json, "tool_use_id"))];
    }
    case "tool_use_summary":
      return [progress("tool_use_summary", text(json, "summary"))];
    case "auth_status":
      return [progress("auth_status", [...texts(json, "output"), text(json, "error")].filter(Boolean).join("; "))];
    case "rate_limit_event":
      return [rateLimitItem(frame)];
    default:
      return undefined;
  }
}

function rateLimitItem(frame: Frame): Item {
  const info = object(frame.json, "rate_limit_info");
  if (info === undefined) return native(frame);
  const status = text(info, "status");
  const reset = resetMs(info);
  const value = {
    kind: text(info, "rateLimitType"),
    status: status === "allowed_warning" ? "warning" : status,
    utilization: number(info, "utilization"),
    ...(reset === null ? {} : { resetTime: timestampFromMs(reset) }),
  };
  return { event: { case: "rateLimit", value } };
}

/** When a limit is lifted, in Unix milliseconds; null if it is not said. The program counts in seconds. */
export function resetMs(info: Json | undefined): number | null {
  const seconds = Math.floor(number(info, "resetsAt"));
  return seconds > 0 && seconds < 1e11 ? seconds * 1_000 : null;
}
