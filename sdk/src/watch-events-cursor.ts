import { Code } from "@connectrpc/connect";
import { createError } from "./errors.js";
import type { RunEvent } from "./gen/agent_manager/v1/run_event_pb.js";
import type { EventBatch, WatchEventsResponse } from "./gen/agent_manager/v1/run_event_service_pb.js";
import { isTerminal } from "./run-state.js";
import type { WatchBookmark, WatchEventsOptions } from "./watch-options.js";

/** What a frame of a watch of many runs brings. */
export interface EventsStep {
  readonly events: readonly RunEvent[];
  /** Where the watch is once these events were handled. */
  readonly bookmark: WatchBookmark;
}

/** Knows what of many runs was delivered. */
export class WatchEventsCursor {
  logId = "";
  heartbeatIntervalMs = 0;
  /** Undefined until the service has told where "now" is. */
  #position: bigint | undefined;
  readonly #filtered: boolean;
  /** The last sequences of the runs that have not ended, to notice a gap. */
  readonly #sequences = new Map<string, bigint>();

  constructor({ after = 0, kinds = [] }: WatchEventsOptions) {
    if (typeof after === "object") {
      this.logId = after.logId;
      this.#position = after.position;
    } else {
      this.#position = after === "now" ? undefined : BigInt(after);
    }
    this.#filtered = kinds.length > 0;
  }

  get position(): bigint {
    return this.#position ?? 0n;
  }

  /** Where the stream is to start. */
  get start() {
    return this.#position === undefined
      ? ({ case: "atTail", value: true } as const)
      : ({ case: "afterPosition", value: this.#position } as const);
  }

  accept(frame: WatchEventsResponse["frame"]): EventsStep {
    switch (frame.case) {
      case "opened":
        this.logId = frame.value.logId;
        this.heartbeatIntervalMs = frame.value.heartbeatIntervalMs;
        this.#position ??= frame.value.newestPosition;
        return this.#step([]);
      case "batch":
        return this.#step(this.#acceptBatch(frame.value));
      case "heartbeat":
        if (frame.value.position > this.position) {
          this.#position = frame.value.position;
        }
        return this.#step([]);
      default:
        return this.#step([]);
    }
  }

  #step(events: readonly RunEvent[]): EventsStep {
    return { events, bookmark: { logId: this.logId, position: this.position } };
  }

  #acceptBatch(batch: EventBatch): readonly RunEvent[] {
    // What is not beyond the position was delivered before the connection was lost.
    const fresh = batch.events.filter((event) => event.position > this.position);
    for (const event of fresh) {
      this.#checkSequence(event);
      this.#position = event.position;
    }
    return fresh.filter(isKnown);
  }

  /** A watch of some kinds has gaps by itself. */
  #checkSequence({ runId, sequence, event }: RunEvent): void {
    if (this.#filtered) {
      return;
    }
    const last = this.#sequences.get(runId);
    if (last !== undefined && sequence !== last + 1n) {
      throw createError(
        `the log of run ${runId} has a gap: event ${sequence} came after event ${last}; list its events and report this`,
        { code: Code.DataLoss },
      );
    }
    if (event.case === "runStateChanged" && isTerminal(event.value.to)) {
      this.#sequences.delete(runId);
    } else {
      this.#sequences.set(runId, sequence);
    }
  }
}

function isKnown({ event, skippable, runId, sequence }: RunEvent): boolean {
  if (event.case !== undefined) {
    return true;
  }
  if (skippable) {
    return false;
  }
  throw createError(`event ${sequence} of run ${runId} is of a kind that this SDK does not know; update the SDK`, {
    code: Code.DataLoss,
  });
}
