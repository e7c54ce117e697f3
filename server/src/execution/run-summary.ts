import { type UsageTotals, UsageTotalsSchema } from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import type { NewEvent } from "../log/event-encoding.js";
import { writeJson } from "../store/runs.js";
import type { RunUpdate } from "../store/schema.js";

/** Gathers what events say of the run as a whole, until it is stored. */
export class RunSummary {
  #set: RunUpdate = {};

  add(events: readonly NewEvent[]): void {
    Object.assign(this.#set, ...events.map(({ event }) => summariseEvent(event)));
  }

  /** The columns that were decided since the last call; undefined if none were. */
  take(): RunUpdate | undefined {
    const set = this.#set;
    this.#set = {};
    return Object.keys(set).length > 0 ? set : undefined;
  }
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
