import { randomUUID } from "node:crypto";
import { EventSource, Role } from "@agent-manager/sdk/proto";
import { encodeEvent } from "../../server/src/log/event-encoding.js";
import type { EncodedEvent } from "../../server/src/store/run-events.js";

/** What an assistant's message of a few lines takes, about 280 bytes as it is stored. */
export function sampleEvent(): EncodedEvent {
  const text =
    "The test fails because the cursor is compared before it is advanced, so the last row of each page is read twice; " +
    "I will move the comparison below the loop and add a test.";
  return encodeEvent({
    occurTimeMs: Date.now(),
    turn: 1,
    itemId: randomUUID(),
    source: EventSource.RUNNER,
    runnerIds: { sessionId: randomUUID(), frameType: "assistant" },
    event: { case: "message", value: { role: Role.ASSISTANT, text } },
  });
}

export function sampleEvents(count: number): readonly EncodedEvent[] {
  return Array.from({ length: count }, sampleEvent);
}
