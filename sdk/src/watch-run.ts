import { Code } from "@connectrpc/connect";
import { backoffMs, sleep } from "./backoff.js";
import type { Clients } from "./clients.js";
import { type AgentManagerError, createError } from "./errors.js";
import type { WatchRunEventsResponse } from "./gen/agent_manager/v1/run_event_service_pb.js";
import { WatchCursor } from "./watch-cursor.js";
import type { RunFrame, WatchRunOptions } from "./watch-options.js";
import { withWatchdog } from "./watchdog.js";
import { fromWire } from "./wire-errors.js";

/**
 * Yields a run's events in batches, each exactly once and in order, across lost connections, until the log ends or, if
 * asked so, the agent's work has ended.
 */
export async function* watchRun(clients: Clients, options: WatchRunOptions): AsyncGenerator<readonly RunFrame[]> {
  const cursor = new WatchCursor(options);
  const patience = new Patience(options);
  for (;;) {
    const attempt = new AbortController();
    const forget = linkSignals(options.signal, attempt);
    try {
      for await (const { frame } of openWatch(clients, { options, cursor, attempt })) {
        if (frame.case !== "opened") {
          // A server that opens streams only to drop them is not one that is there.
          patience.heard();
        }
        yield cursor.accept(frame);
        if (await cursor.finished(frame)) {
          return;
        }
      }
      throw createError("the service ended the stream before the run's log ended", { code: Code.Unavailable });
    } catch (thrown) {
      options.signal?.throwIfAborted();
      const error = resumable(thrown);
      await patience.wait(error, cursor.sequence);
    } finally {
      forget();
      attempt.abort();
    }
  }
}

function openWatch(
  clients: Clients,
  { options, cursor, attempt }: { options: WatchRunOptions; cursor: WatchCursor; attempt: AbortController },
): AsyncIterable<WatchRunEventsResponse> {
  const heartbeatIntervalMs = options.heartbeatIntervalMs ?? 15_000;
  const stream = clients.events.watchRunEvents(
    {
      runId: options.runId,
      afterSequence: cursor.sequence,
      logId: cursor.logId,
      kinds: cursor.kindsToAsk,
      deltas: options.deltas,
      heartbeatIntervalMs,
    },
    { signal: attempt.signal, timeoutMs: 0 },
  );
  return withWatchdog(stream, {
    // Two heartbeats may be late; the server may also have raised the interval.
    silenceMs: () => 2.5 * Math.max(heartbeatIntervalMs, cursor.heartbeatIntervalMs),
    abandon: () => attempt.abort(),
  });
}

/** Waits between attempts, ever longer, and gives up in the end. */
class Patience {
  readonly #options: WatchRunOptions;
  #attempt = 0;
  #lastHeard = Date.now();

  constructor(options: WatchRunOptions) {
    this.#options = options;
  }

  heard(): void {
    this.#attempt = 0;
    this.#lastHeard = Date.now();
  }

  async wait(error: AgentManagerError, after: bigint): Promise<void> {
    if (Date.now() - this.#lastHeard > (this.#options.giveUpAfterMs ?? 600_000)) {
      throw error;
    }
    this.#attempt++;
    const delayMs = Math.max(
      error.retryAfterMs ?? 0,
      // A stream that delivered something is taken up at once: the first attempt after a loss waits at most 50 ms.
      backoffMs(this.#attempt, { baseMs: 50, maxMs: 10_000 }),
    );
    this.#options.onReconnect?.({ attempt: this.#attempt, delayMs, after, error });
    await sleep(delayMs, this.#options.signal);
  }
}

/** The error to wait out; throws what waiting cannot cure. */
function resumable(thrown: unknown): AgentManagerError {
  const error = fromWire(thrown);
  if (error.code !== Code.Unavailable) {
    throw error;
  }
  return error;
}

function linkSignals(outer: AbortSignal | undefined, inner: AbortController): () => void {
  const abort = () => inner.abort(outer?.reason);
  if (outer?.aborted) {
    abort();
  }
  outer?.addEventListener("abort", abort, { once: true });
  return () => outer?.removeEventListener("abort", abort);
}
