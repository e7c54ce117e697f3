import type { RunSelector } from "@agent-manager/sdk/proto";
import { readLogHead } from "../store/run-events.js";
import type { Db } from "../store/schema.js";
import { findSelectedRuns, readSelectedPage, selectsSome } from "../store/selected-events.js";
import type { FollowPlace } from "./follow-run.js";
import { type FollowFrame, type FollowOptions, followLog, type LogSource } from "./log-follower.js";
import { positionOf } from "./log-hub.js";
import { type EventChunk, pickKinds } from "./recent-events.js";

const MAX_KNOWN_RUNS = 10_000;

export interface FollowEventsRequest {
  /** Without states: membership is decided by what a run has from its creation on. Unset: every run. */
  readonly selector?: RunSelector | undefined;
  readonly start: FollowOptions["start"];
  /** Empty: not checked. */
  readonly logId: string;
  /** Field numbers; empty for all. */
  readonly kinds: readonly number[];
  readonly deltas: boolean;
  readonly heartbeatIntervalMs: number;
}

/** The events of all runs that a selector picks, now or later, from a position on: stored ones, then live ones. */
export async function* followEvents(request: FollowEventsRequest, place: FollowPlace): AsyncGenerator<FollowFrame> {
  using subscription = place.hub.subscribeAll();
  const { start, logId, deltas, heartbeatIntervalMs } = request;
  const source = eventsSource(request, place.db);
  yield* followLog({ source, subscription, start, logId, deltas, heartbeatIntervalMs, signal: place.signal });
}

function eventsSource({ selector, kinds }: FollowEventsRequest, db: Db): LogSource {
  const members = selectsSome(selector) ? new Members((runIds) => findSelectedRuns(db, selector, runIds)) : undefined;
  return {
    keyName: "position",
    keyOf: positionOf,
    async readEnd() {
      const head = await readLogHead(db);
      return { head, newest: head.newestPosition, oldest: head.oldestPosition, ended: false };
    },
    readPage: (range) => readSelectedPage(db, selector, { ...range, kinds }),
    pick: async (chunks) => pickKinds(members ? await members.pick(chunks) : chunks, kinds),
    wants: async ({ runId }) => members === undefined || (await members.includes(runId)),
    mayEnd: () => false,
  };
}

/** Which runs belong to a watch, asked once per run: what decides it does not change. */
class Members {
  readonly #known = new Map<string, boolean>();

  constructor(readonly find: (runIds: readonly string[]) => Promise<ReadonlySet<string>>) {}

  async pick(chunks: readonly EventChunk[]): Promise<readonly EventChunk[]> {
    await this.#learn(chunks.flatMap(([event]) => (event ? [event.runId] : [])));
    return chunks.filter(([event]) => event !== undefined && this.#known.get(event.runId) === true);
  }

  async includes(runId: string): Promise<boolean> {
    await this.#learn([runId]);
    return this.#known.get(runId) === true;
  }

  async #learn(runIds: readonly string[]): Promise<void> {
    // forgetting costs a question, remembering every run of a long watch its memory
    if (this.#known.size > MAX_KNOWN_RUNS) this.#known.clear();
    const unknown = [...new Set(runIds)].filter((runId) => !this.#known.has(runId));
    if (unknown.length === 0) return;
    const selected = await this.find(unknown);
    for (const runId of unknown) this.#known.set(runId, selected.has(runId));
  }
}
