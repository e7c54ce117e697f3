import { ErrorClass, TurnStatus } from "@agent-manager/sdk/proto";
import type { AgentOutcome } from "../runner.js";
import type { Item } from "./draft.js";
import { type Failure, recoveryOf, retryable, sortFailure } from "./failure.js";
import { type Json, text, texts, uint32 } from "./frame.js";
import { statedResetMs } from "./reset-time.js";

/** How a turn ended, by its result frame. `subtype: "success"` with `is_error` is a failure. */
export type Ending =
  | { readonly kind: "completed"; readonly text: string }
  | { readonly kind: "maxTurns"; readonly text: string }
  | { readonly kind: "budget"; readonly text: string }
  | { readonly kind: "interrupted"; readonly text: string }
  | { readonly kind: "failed"; readonly failure: Failure; readonly resetMs: number | null };

export interface EndingContext {
  /** The error name of the last synthetic message of the turn. */
  readonly apiError: string;
  /** When the rate limit that refused is lifted, if the program said so. */
  readonly resetMs: number | null;
  readonly nowMs: number;
}

export function readEnding(result: Json, context: EndingContext): Ending {
  const said = text(result, "result") || texts(result, "errors").join("; ");
  switch (text(result, "subtype")) {
    case "error_max_turns":
      return { kind: "maxTurns", text: said };
    case "error_max_budget_usd":
      return { kind: "budget", text: said };
    default:
  }
  if (text(result, "terminal_reason").startsWith("aborted_"))
    return { kind: "interrupted", text: "the turn was interrupted" };
  if (text(result, "stop_reason") === "refusal") return refused(said);
  if (result.is_error !== true && text(result, "subtype") === "success") return { kind: "completed", text: said };
  const failure = sortFailure({
    apiError: context.apiError,
    httpStatus: uint32(result, "api_error_status"),
    text: said,
  });
  const resetMs =
    failure.class === ErrorClass.RATE_LIMIT ? (context.resetMs ?? statedResetMs(said, context.nowMs)) : null;
  return { kind: "failed", failure, resetMs };
}

function refused(said: string): Ending {
  const sentence = said || "the model refused to go on";
  return {
    kind: "failed",
    failure: { class: ErrorClass.AGENT, code: "refused", text: sentence, httpStatus: 0 },
    resetMs: null,
  };
}

/** The events of an ending: the error, if it is one, and the turn's end. */
export function endingItems(result: Json, ending: Ending): readonly Item[] {
  const stopReason = text(result, "terminal_reason") || text(result, "stop_reason") || text(result, "subtype");
  const value = {
    status: statusOf(ending),
    result: ending.kind === "failed" ? ending.failure.text : ending.text,
    stopReason,
    durationMs: uint32(result, "duration_ms"),
    modelTurns: uint32(result, "num_turns"),
  };
  return [...errorItems(ending), { event: { case: "turnEnded", value } }];
}

function errorItems(ending: Ending): readonly Item[] {
  switch (ending.kind) {
    case "completed":
    case "interrupted":
      return [];
    case "maxTurns":
      return [
        errorItem(
          { class: ErrorClass.AGENT, code: "max_turns", text: ending.text, httpStatus: 0 },
          "raise max_turns and continue the run",
        ),
      ];
    case "budget":
      return [
        errorItem(
          { class: ErrorClass.AGENT, code: "budget_exceeded", text: ending.text, httpStatus: 0 },
          "raise the budget and continue the run",
        ),
      ];
    case "failed":
      return [errorItem(ending.failure, recoveryOf(ending.failure))];
    default:
      return ending satisfies never;
  }
}

function errorItem(failure: Failure, recovery: string): Item {
  return { event: { case: "error", value: { ...failure, retryable: retryable(failure.class), recovery } } };
}

function statusOf(ending: Ending): TurnStatus {
  switch (ending.kind) {
    case "completed":
      return TurnStatus.COMPLETED;
    case "maxTurns":
      return TurnStatus.MAX_TURNS;
    case "budget":
      return TurnStatus.BUDGET_EXCEEDED;
    case "interrupted":
      return TurnStatus.INTERRUPTED;
    case "failed":
      return TurnStatus.FAILED;
    default:
      return ending satisfies never;
  }
}

/** The outcome of a process whose last turn ended so. */
export function outcomeOf(ending: Ending): AgentOutcome {
  switch (ending.kind) {
    case "completed":
      return { kind: "finished", result: ending.text };
    case "maxTurns":
      return { kind: "maxTurns" };
    case "budget":
      return { kind: "budgetExceeded" };
    case "interrupted":
      return { kind: "interrupted", text: ending.text };
    case "failed": {
      const { class: kind, code, text } = ending.failure;
      if (kind === ErrorClass.RATE_LIMIT) return { kind: "rateLimited", retryTimeMs: ending.resetMs, text };
      return { kind: kind === ErrorClass.AUTHENTICATION ? "unavailable" : "failed", code, text };
    }
    default:
      return ending satisfies never;
  }
}
