import { type UsageTotals, UsageTotalsSchema } from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import type { NewEvent } from "../log/event-encoding.js";
import { writeJson } from "../store/runs.js";
import type { RunUpdate } from "../store/schema.js";

/** The columns of a run that its events decide; undefined if these say nothing new. */
export function summarise(events: readonly NewEvent[]): RunUpdate | undefined {
  const set = Object.assign({}, ...events.map(({ event }) => summariseEvent(event)));
  return Object.keys(set).length > 0 ? set : undefined;
}

function summariseEvent(event: NewEvent["event"]): RunUpdate {
  switch (event.case) {
    case "sessionBound":
      return {
        ...(event.value.sessionId && { session_id: event.value.sessionId }),
        ...(event.value.model && { model: event.value.model }),
      };
    case "usage":
      return event.value.total ? { usage: writeJson(UsageTotalsSchema, usageTotals(event.value.total)) } : {};
    case "turnEnded":
      return event.value.result ? { result: event.value.result } : {};
    default:
      return {};
  }
}

function usageTotals(total: Parameters<typeof create<typeof UsageTotalsSchema>>[1]): UsageTotals {
  return create(UsageTotalsSchema, total);
}
