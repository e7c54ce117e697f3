import type { Clients } from "./clients.js";
import { resumeForever } from "./resuming-watch.js";
import { WatchCursor } from "./watch-cursor.js";
import type { RunFrame, WatchRunOptions } from "./watch-options.js";

/**
 * Yields a run's events in batches, each exactly once and in order, across lost connections, until the log ends or, if
 * asked so, the agent's work has ended.
 */
export function watchRun(clients: Clients, options: WatchRunOptions): AsyncGenerator<readonly RunFrame[]> {
  const cursor = new WatchCursor(options);
  return resumeForever({
    options,
    cursor: () => cursor.sequence,
    heartbeatIntervalMs: () => cursor.heartbeatIntervalMs,
    open: ({ heartbeatIntervalMs, signal }) =>
      clients.events.watchRunEvents(
        {
          runId: options.runId,
          afterSequence: cursor.sequence,
          logId: cursor.logId,
          kinds: cursor.kindsToAsk,
          deltas: options.deltas,
          heartbeatIntervalMs,
        },
        { signal, timeoutMs: 0 },
      ),
    accept: (frame) => cursor.accept(frame),
    finished: (frame) => cursor.finished(frame),
  });
}
