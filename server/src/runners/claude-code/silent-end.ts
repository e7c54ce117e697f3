import type { AgentExit, AgentOutcome } from "../runner.js";

/** What the program says on standard error when it refuses to start, and what that means. */
const refusals: readonly { readonly sign: RegExp; readonly kind: "unavailable" | "failed"; readonly code: string }[] = [
  { sign: /cannot be used with root/i, kind: "unavailable", code: "root_refused" },
  { sign: /bubblewrap is required/i, kind: "unavailable", code: "bubblewrap_missing" },
  { sign: /session id \S+ is already in use/i, kind: "failed", code: "session_in_use" },
  { sign: /mcp tool .+ not found/i, kind: "failed", code: "permission_tool_missing" },
  { sign: /unknown option|invalid argument/i, kind: "failed", code: "option_refused" },
];

/**
 * The outcome of a process that ended without a result frame. Exit code 0 proves nothing: the program gives it
 * also when a signal cut it off in the middle of a text.
 */
export function silentOutcome(exit: AgentExit, lastErrors: string): AgentOutcome {
  const refusal = refusals.find(({ sign }) => sign.test(lastErrors));
  if (refusal !== undefined && exit.cause === null) return { kind: refusal.kind, code: refusal.code, text: lastErrors };
  const how = exit.signal === null ? `exit code ${exit.code ?? "unknown"}` : `signal ${exit.signal}`;
  const text = `the program ended without a result (${how})${lastErrors === "" ? "" : `: ${lastErrors}`}`;
  // 128 + n is a signal that the program caught.
  const cutOff = exit.cause !== null || exit.signal !== null || exit.code === 0 || (exit.code ?? 0) > 128;
  return cutOff ? { kind: "interrupted", text } : { kind: "failed", code: "no_result", text };
}
