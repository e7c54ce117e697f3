import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Clients } from "./clients.js";
import type { RunEvent } from "./gen/agent_manager/v1/run_event_pb.js";
import type { RunSelectorSchema } from "./gen/agent_manager/v1/run_pb.js";
import { resumeForever } from "./resuming-watch.js";
import { type EventsStep, WatchEventsCursor } from "./watch-events-cursor.js";
import type { WatchEventsOptions } from "./watch-options.js";

/** Yields the events of every run that the selector picks, each exactly once and in order, across lost connections. */
export async function* watchEvents(
  clients: Clients,
  selector: MessageInitShape<typeof RunSelectorSchema>,
  options: WatchEventsOptions,
): AsyncGenerator<RunEvent, void, void> {
  let told: bigint | undefined;
  for await (const { events, bookmark } of watchSteps(clients, selector, options)) {
    yield* events;
    if (bookmark.position !== told) {
      options.onBookmark?.(bookmark);
      told = bookmark.position;
    }
  }
}

function watchSteps(
  clients: Clients,
  selector: MessageInitShape<typeof RunSelectorSchema>,
  options: WatchEventsOptions,
): AsyncGenerator<EventsStep> {
  const cursor = new WatchEventsCursor(options);
  const kinds = [...(options.kinds ?? [])];
  return resumeForever({
    options,
    cursor: () => cursor.position,
    heartbeatIntervalMs: () => cursor.heartbeatIntervalMs,
    open: ({ heartbeatIntervalMs, signal }) =>
      clients.events.watchEvents(
        { selector, start: cursor.start, logId: cursor.logId, kinds, heartbeatIntervalMs },
        { signal, timeoutMs: 0 },
      ),
    accept: (frame) => cursor.accept(frame),
    finished: async () => false,
  });
}
