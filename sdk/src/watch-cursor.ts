import { Code } from "@connectrpc/connect";
import { type AgentManagerError, createError } from "./errors.js";
import type { RunEvent } from "./gen/agent_manager/v1/run_event_pb.js";
import {
  type EventBatch,
  EventKind,
  type WatchRunEventsResponse,
} from "./gen/agent_manager/v1/run_event_service_pb.js";
import { RunState } from "./gen/agent_manager/v1/run_pb.js";
import type { RunFrame, WatchRunOptions } from "./watch-options.js";

/** Knows what was delivered, and when it is enough. */
export class WatchCursor {
  sequence: bigint;
  logId = "";
  heartbeatIntervalMs = 0;
  readonly #options: WatchRunOptions;
  readonly #kinds: ReadonlySet<number>;
  /** Undefined until something told. */
  #needsReview: boolean | undefined;

  constructor(options: WatchRunOptions) {
    this.sequence = BigInt(options.after ?? 0);
    this.#options = options;
    this.#kinds = new Set(options.kinds ?? []);
  }

  /** With a filter, state changes are asked for too, since they tell when the agent's work has ended. */
  get kindsToAsk(): EventKind[] {
    const kinds = this.#options.kinds ?? [];
    return kinds.length === 0 ? [] : [...new Set([...kinds, EventKind.RUN_STATE_CHANGED])];
  }

  accept(frame: WatchRunEventsResponse["frame"]): readonly RunFrame[] {
    switch (frame.case) {
      case "opened":
        this.logId = frame.value.logId;
        this.heartbeatIntervalMs = frame.value.heartbeatIntervalMs;
        return [];
      case "batch":
        return this.#acceptBatch(frame.value);
      case "delta":
        return [{ kind: "delta", delta: frame.value }];
      case "heartbeat":
        // A filtered watch moves on over events that did not match.
        if (this.#kinds.size > 0 && frame.value.sequence > this.sequence) {
          this.sequence = frame.value.sequence;
        }
        return [];
      default:
        return [];
    }
  }

  /** Whether the watch is over after this frame. */
  async finished(frame: WatchRunEventsResponse["frame"]): Promise<boolean> {
    if (frame.case === "endOfLog") {
      return true;
    }
    return this.#options.until !== "ended" && this.#atTail(frame) && (await this.#waitsForReview());
  }

  #atTail(frame: WatchRunEventsResponse["frame"]): boolean {
    switch (frame.case) {
      case "opened":
        return frame.value.newestSequence <= this.sequence;
      case "batch":
        return frame.value.reachesTail;
      default:
        return frame.case === "heartbeat";
    }
  }

  /** Asks when no event has told: a watch that starts late never sees the state change. */
  async #waitsForReview(): Promise<boolean> {
    this.#needsReview ??= (await this.#options.readState()) === RunState.NEEDS_REVIEW;
    return this.#needsReview;
  }

  #acceptBatch(batch: EventBatch): readonly RunFrame[] {
    const frames: RunFrame[] = [];
    for (const event of batch.events) {
      if (event.sequence <= this.sequence) {
        continue; // delivered before the connection was lost
      }
      if (this.#kinds.size === 0 && event.sequence !== this.sequence + 1n) {
        throw gap(this.sequence, event.sequence);
      }
      this.sequence = event.sequence;
      this.#noteState(event);
      if (this.#wanted(event)) {
        frames.push({ kind: "event", event });
      }
    }
    return frames;
  }

  #noteState(event: RunEvent): void {
    if (event.event.case === "runStateChanged") {
      this.#needsReview = event.event.value.to === RunState.NEEDS_REVIEW;
    }
  }

  #wanted(event: RunEvent): boolean {
    if (event.event.case === undefined) {
      if (event.skippable) {
        return false;
      }
      throw unknownKind(event.sequence);
    }
    return (
      event.event.case !== "runStateChanged" || this.#kinds.size === 0 || this.#kinds.has(EventKind.RUN_STATE_CHANGED)
    );
  }
}

function gap(sequence: bigint, next: bigint): AgentManagerError {
  return createError(
    `the run's log has a gap: event ${next} came after event ${sequence}; list the events again and report this`,
    { code: Code.DataLoss },
  );
}

function unknownKind(sequence: bigint): AgentManagerError {
  return createError(`event ${sequence} is of a kind that this SDK does not know; update the SDK`, {
    code: Code.DataLoss,
  });
}
