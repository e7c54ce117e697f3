import { Support } from "@agent-manager/sdk/proto";
import type { Runner } from "../runner.js";

/** What claude-code can do through this adapter, measured with 2.1.197. */
export const capabilities: Runner["capabilities"] = [
  yes("streaming"),
  yes("deltas"),
  partial("permissions", "requests are denied by default and recorded; answers by people come with a later version"),
  partial("questions", "questions are recorded and answered with: nobody is there, decide yourself"),
  no("steering", "the program takes messages in the middle of a turn; this adapter does not send them yet"),
  yes("interrupt"),
  partial("continuation", "only from the same working directory and home, since sessions are kept by folder"),
  yes("max_turns"),
  partial("cost", "by the program's own price list, known when a turn ends; nothing is reported for a killed turn"),
  partial("rate_limits", "utilization and reset times come with a subscription only; with an API key only refusals"),
  partial("models", "names are not checked before the first request; an unknown one ends the run"),
  partial("mcp", "a server that fails to start is shown in session_bound and does not end the run"),
];

function yes(name: string): Runner["capabilities"][number] {
  return { name, support: Support.YES, limit: "" };
}

function partial(name: string, limit: string): Runner["capabilities"][number] {
  return { name, support: Support.PARTIAL, limit };
}

function no(name: string, limit: string): Runner["capabilities"][number] {
  return { name, support: Support.NO, limit };
}
