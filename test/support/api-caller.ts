import {
  type CreateRunRequestSchema,
  type RunEvent,
  RunEventService,
  RunService,
  RunState,
  type WatchRunEventsResponse,
} from "@agent-manager/sdk/proto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import type { GrpcJsClient } from "./grpc-js-client.js";

/** What it takes to start a run and follow it, whatever client library makes the calls. */
export interface ApiCaller {
  createRun(request: MessageInitShape<typeof CreateRunRequestSchema>): Promise<string>;
  watch(runId: string): AsyncIterable<WatchRunEventsResponse>;
  /** Approves all of the latest change set. */
  approve(runId: string): Promise<readonly string[]>;
}

export function connectCaller(transport: Transport): ApiCaller {
  const runs = createClient(RunService, transport);
  const events = createClient(RunEventService, transport);
  return {
    createRun: async (request) => (await runs.createRun(request)).run?.runId ?? "",
    watch: (runId) => events.watchRunEvents({ runId }),
    approve: async (runId) => {
      const { changeSet } = await runs.getChangeSet({ runId, filesOnly: true });
      return (await runs.approveRun({ runId, digest: changeSet?.digest ?? "" })).appliedFiles;
    },
  };
}

export function grpcJsCaller(client: GrpcJsClient): ApiCaller {
  const { createRun, getChangeSet, approveRun } = RunService.method;
  return {
    createRun: async (request) => (await client.unary(createRun, request)).run?.runId ?? "",
    watch: (runId) => client.stream(RunEventService.method.watchRunEvents, { runId }),
    approve: async (runId) => {
      const { changeSet } = await client.unary(getChangeSet, { runId, filesOnly: true });
      return (await client.unary(approveRun, { runId, digest: changeSet?.digest ?? "" })).appliedFiles;
    },
  };
}

export interface FollowedRun {
  readonly runId: string;
  /** The case of each frame, neighbours of the same case as one. */
  readonly frames: readonly string[];
  readonly events: readonly RunEvent[];
  readonly lastSequence: bigint;
  readonly applied: readonly string[];
}

/** Starts a run, follows it live, approves it when it waits for that, and follows on to the end of its log. */
export async function runToTheEnd(
  caller: ApiCaller,
  request: MessageInitShape<typeof CreateRunRequestSchema>,
): Promise<FollowedRun> {
  const runId = await caller.createRun(request);
  const frames: string[] = [];
  const events: RunEvent[] = [];
  let lastSequence = 0n;
  let applied: readonly string[] = [];
  for await (const { frame } of caller.watch(runId)) {
    if (frames.at(-1) !== frame.case) frames.push(frame.case ?? "");
    if (frame.case === "endOfLog") lastSequence = frame.value.lastSequence;
    if (frame.case !== "batch") continue;
    events.push(...frame.value.events);
    if (frame.value.events.some(waitsForReview)) applied = await caller.approve(runId);
  }
  return { runId, frames, events, lastSequence, applied };
}

function waitsForReview({ event }: RunEvent): boolean {
  return event.case === "runStateChanged" && event.value.to === RunState.NEEDS_REVIEW;
}
