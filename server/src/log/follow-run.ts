import { EventKind } from "@agent-manager/sdk/proto";
import { DomainError } from "../domain/errors.js";
import { isTerminal } from "../domain/run-state.js";
import { type RunLogEnd, readOldestSequence, readRunLogEnd, readRunPage } from "../store/run-events.js";
import type { Db } from "../store/schema.js";
import { type FollowFrame, followLog, type LogEnd, type LogSource } from "./log-follower.js";
import { type LogHub, sequenceOf } from "./log-hub.js";
import { pickKinds } from "./recent-events.js";

export interface FollowRunRequest {
  readonly runId: string;
  readonly afterSequence: bigint;
  /** Empty: not checked. */
  readonly logId: string;
  /** Field numbers; empty for all. */
  readonly kinds: readonly number[];
  readonly deltas: boolean;
  readonly heartbeatIntervalMs: number;
}

export interface FollowPlace {
  readonly db: Db;
  readonly hub: LogHub;
  readonly signal: AbortSignal;
}

export type FollowRunFrame = FollowFrame | { readonly kind: "endOfLog"; readonly lastSequence: bigint };

/** One run's events from a sequence on: stored ones, then live ones, until the run has ended and all was sent. */
export async function* followRun(request: FollowRunRequest, place: FollowPlace): AsyncGenerator<FollowRunFrame> {
  using subscription = place.hub.subscribe(request.runId);
  const { logId, deltas, heartbeatIntervalMs } = request;
  const source = runSource(request, place.db);
  const start = { after: request.afterSequence };
  const { signal } = place;
  const follow = { source, subscription, start, logId, deltas, heartbeatIntervalMs, signal };
  const lastSequence = yield* followLog(follow);
  if (lastSequence !== undefined) yield { kind: "endOfLog", lastSequence };
}

function runSource({ runId, kinds }: FollowRunRequest, db: Db): LogSource {
  return {
    keyName: "sequence",
    keyOf: sequenceOf,
    async readEnd() {
      const end = await readRunLogEnd(db, runId);
      if (!end) throw new DomainError("RUN_NOT_FOUND", { run_id: runId });
      return logEnd(end, await oldestSequence(end));
    },
    readPage: (range) => readRunPage(db, runId, { ...range, kinds }),
    pick: async (chunks) => pickKinds(chunks, kinds),
    wants: async () => true,
    mayEnd: ({ kind }) => kind === EventKind.RUN_STATE_CHANGED,
  };

  async function oldestSequence({ head, lastSequence }: RunLogEnd): Promise<bigint> {
    if (head.oldestPosition === 1n) return 1n;
    return (await readOldestSequence(db, runId)) ?? lastSequence + 1n;
  }
}

function logEnd({ head, state, lastSequence }: RunLogEnd, oldest: bigint): LogEnd {
  return { head, newest: lastSequence, oldest, ended: isTerminal(state) };
}
