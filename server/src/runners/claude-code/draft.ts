import type { DeltaDraft, EventDraft } from "../runner.js";
import { type Frame, object, text } from "./frame.js";

/** An event before the protocol adds the turn and the ids of the frame that it came from. */
export interface Item {
  readonly itemId?: string;
  readonly event: EventDraft["event"];
  readonly requestId?: string;
}

export type Delta = Omit<DeltaDraft, "turn">;

/** Adds to an item what its frame says about where it belongs. */
export function stamp(item: Item, frame: Frame, turn: number): EventDraft {
  const parent = text(frame.json, "parent_tool_use_id");
  return {
    turn,
    ...(item.itemId ? { itemId: item.itemId } : {}),
    ...(parent === "" ? {} : { parentItemId: parent }),
    event: item.event,
    runnerIds: runnerIds(frame, item),
  };
}

function runnerIds({ type, json }: Frame, { requestId }: Item): NonNullable<EventDraft["runnerIds"]> {
  const session = text(json, "session_id");
  const message = text(object(json, "message"), "id");
  return {
    frameType: type,
    ...(session === "" ? {} : { sessionId: session }),
    ...(message === "" ? {} : { messageId: message }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

export function warning(code: string, sentence: string): Item {
  return { event: { case: "warning", value: { code, text: sentence } } };
}

export function native({ type, raw }: Frame): Item {
  return { event: { case: "native", value: { type, json: raw } } };
}

export function progress(status: string, sentence: string, itemId?: string): Item {
  return { ...(itemId ? { itemId } : {}), event: { case: "progress", value: { status, text: sentence } } };
}
