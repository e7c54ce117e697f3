import { Code } from "@connectrpc/connect";
import { backoffMs, sleep } from "./backoff.js";
import { type AgentManagerError, createError } from "./errors.js";
import type { WatchOptions } from "./watch-options.js";
import { withWatchdog } from "./watchdog.js";
import { fromWire } from "./wire-errors.js";

/** A watch that goes on where it was when its stream is lost. */
export interface ResumingWatch<Frame extends { readonly case: string | undefined }, Item> {
  readonly options: WatchOptions;
  /** The last event delivered, after which the stream is taken up. */
  readonly cursor: () => bigint;
  /** The interval that the service keeps, in milliseconds; 0 until it has said. */
  readonly heartbeatIntervalMs: () => number;
  /** Opens a stream after the cursor. */
  readonly open: (stream: {
    readonly heartbeatIntervalMs: number;
    readonly signal: AbortSignal;
  }) => AsyncIterable<{ readonly frame: Frame }>;
  /** What a frame brings that was not delivered before. */
  readonly accept: (frame: Frame) => Item;
  /** Whether the watch is over after this frame. */
  readonly finished: (frame: Frame) => Promise<boolean>;
}

/** Yields what the frames bring, across lost connections, until the watch is over. */
export async function* resumeForever<Frame extends { readonly case: string | undefined }, Item>(
  watch: ResumingWatch<Frame, Item>,
): AsyncGenerator<Item> {
  const { options } = watch;
  const patience = new Patience(options);
  for (;;) {
    const attempt = new AbortController();
    const forget = linkSignals(options.signal, attempt);
    try {
      for await (const { frame } of openGuarded(watch, attempt)) {
        if (frame.case !== "opened") {
          // A server that opens streams only to drop them is not one that is there.
          patience.heard();
        }
        yield watch.accept(frame);
        if (await watch.finished(frame)) {
          return;
        }
      }
      throw createError("the service ended the stream before the log ended", { code: Code.Unavailable });
    } catch (thrown) {
      options.signal?.throwIfAborted();
      const error = resumable(thrown);
      await patience.wait(error, watch.cursor());
    } finally {
      forget();
      attempt.abort();
    }
  }
}

function openGuarded<Frame extends { readonly case: string | undefined }, Item>(
  watch: ResumingWatch<Frame, Item>,
  attempt: AbortController,
): AsyncIterable<{ readonly frame: Frame }> {
  const heartbeatIntervalMs = watch.options.heartbeatIntervalMs ?? 15_000;
  return withWatchdog(watch.open({ heartbeatIntervalMs, signal: attempt.signal }), {
    // Two heartbeats may be late; the server may also have raised the interval.
    silenceMs: () => 2.5 * Math.max(heartbeatIntervalMs, watch.heartbeatIntervalMs()),
    abandon: () => attempt.abort(),
  });
}

/** Waits between attempts, ever longer, and gives up in the end. */
class Patience {
  readonly #options: WatchOptions;
  #attempt = 0;
  #lastHeard = Date.now();

  constructor(options: WatchOptions) {
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
