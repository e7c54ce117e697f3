import {
  type AgentProfile,
  AgentProfileSchema,
  AgentProfileService,
  ChangeSetSchema,
  type CreateRunRequest,
  ErrorInfoSchema,
  type EventDelta,
  EventDeltaSchema,
  Health,
  HealthCheckResponse_ServingStatus,
  type Run,
  type RunEvent,
  RunEventSchema,
  RunEventService,
  RunnerService,
  RunOutcome,
  RunSchema,
  RunService,
  RunState,
  UsageTotalsSchema,
  type WatchRunEventsRequest,
  type WatchRunEventsResponse,
  WatchRunEventsResponseSchema,
} from "@agent-manager/sdk/proto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";

type EventInit = NonNullable<MessageInitShape<typeof RunEventSchema>["event"]>;
type Frame = NonNullable<MessageInitShape<typeof WatchRunEventsResponseSchema>["frame"]>;

const exampleDiff = [
  "diff --git a/src/sum.mjs b/src/sum.mjs",
  "--- a/src/sum.mjs",
  "+++ b/src/sum.mjs",
  "@@ -1 +1 @@",
  "-let total = 1;",
  "+let total = 0;",
  "",
].join("\n");

/** A run of the fake service: its log is written by the test. */
export class FakeRun {
  readonly events: RunEvent[] = [];
  readonly #listeners = new Set<(item: RunEvent | EventDelta) => void>();
  stopRequested = false;

  constructor(readonly run: Run) {}

  append(event: EventInit, itemId = ""): void {
    const sequence = BigInt(this.events.length + 1);
    const stored = create(RunEventSchema, {
      runId: this.run.runId,
      sequence,
      position: sequence,
      turn: 1,
      itemId,
      recordTime: timestampNow(),
      event,
    });
    this.events.push(stored);
    this.run.lastSequence = sequence;
    this.run.version++;
    this.#tell(stored);
  }

  delta(init: MessageInitShape<typeof EventDeltaSchema>): void {
    this.#tell(create(EventDeltaSchema, { ...init, runId: this.run.runId }));
  }

  move(to: RunState, outcome = RunOutcome.UNSPECIFIED, reason = ""): void {
    const from = this.run.state;
    this.run.state = to;
    this.run.stateReason = reason;
    if (outcome !== RunOutcome.UNSPECIFIED) {
      this.run.outcome = outcome;
    }
    this.append({ case: "runStateChanged", value: { from, to, outcome, reason } });
  }

  get ended(): boolean {
    return this.run.state >= RunState.COMPLETED;
  }

  listen(listener: (item: RunEvent | EventDelta) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(item: RunEvent | EventDelta): void {
    for (const listener of this.#listeners) {
      listener(item);
    }
  }
}

/** The part of the API that SDK and CLI use, in memory. `onRun` plays the agent of each created run. */
export class FakeService {
  readonly runs: FakeRun[] = [];
  readonly profiles = new Map<string, AgentProfile>();
  readonly created: CreateRunRequest[] = [];
  onRun: (run: FakeRun) => void | Promise<void> = () => {};
  onStop: (run: FakeRun) => void = (run) => run.move(RunState.CANCELLED, RunOutcome.STOPPED);
  openWatches = 0;

  readonly routes = (router: ConnectRouter): void => {
    router.service(Health, { check: () => ({ status: HealthCheckResponse_ServingStatus.SERVING }) });
    router.service(RunnerService, {
      listRunners: () => ({
        runners: [
          { runner: "claude-code", displayName: "Claude Code", installed: true, version: "2.1.0", authentication: 1 },
        ],
      }),
    });
    router.service(AgentProfileService, {
      ensureAgentProfile: ({ profile }) => this.#ensure(profile?.key ?? ""),
      listAgentProfiles: () => ({ profiles: [...this.profiles.values()] }),
    });
    router.service(RunService, {
      createRun: (request) => ({ run: this.#create(request).run }),
      getRun: ({ runId }) => ({ run: this.#find(runId).run }),
      listRuns: ({ pageToken }) => this.#page(Number(pageToken || "0")),
      stopRun: ({ runId }) => this.#stop(this.#find(runId)),
      getChangeSet: ({ runId }) => ({
        changeSet: create(ChangeSetSchema, {
          runId,
          digest: "digest-1",
          additions: 1,
          deletions: 1,
          files: [{ path: "src/sum.mjs", kind: 2, additions: 1, deletions: 1 }],
          unifiedDiff: new TextEncoder().encode(exampleDiff),
        }),
      }),
      approveRun: ({ runId, digest }) => this.#approve(this.#find(runId), digest),
      rejectRun: ({ runId }) => this.#reject(this.#find(runId)),
    });
    router.service(RunEventService, { watchRunEvents: (request, { signal }) => this.#watch(request, signal) });
  };

  add(init: MessageInitShape<typeof RunSchema> = {}): FakeRun {
    const fake = new FakeRun(
      create(RunSchema, {
        runId: globalThis.crypto.randomUUID(),
        state: RunState.QUEUED,
        version: 1n,
        createTime: timestampNow(),
        title: "Fix sum",
        projectRoot: "/projects/app",
        ...init,
      }),
    );
    this.runs.unshift(fake);
    return fake;
  }

  #create(request: CreateRunRequest): FakeRun {
    this.created.push(request);
    const task = request.work.case === "task" ? request.work.value : undefined;
    const fake = this.add({
      labels: request.labels,
      title: task?.title || (task?.prompt ?? ""),
      prompt: task?.prompt ?? "",
      projectRoot: task?.projectRoot ?? "/projects/app",
    });
    fake.move(RunState.STARTING);
    setTimeout(() => void this.onRun(fake), 5);
    return fake;
  }

  #find(runId: string): FakeRun {
    const found = this.runs.find((fake) => fake.run.runId === runId);
    if (found === undefined) {
      throw refusal("RUN_NOT_FOUND", `there is no run ${runId}`, Code.NotFound);
    }
    return found;
  }

  #page(start: number) {
    const size = 2;
    const next = start + size < this.runs.length ? String(start + size) : "";
    return { runs: this.runs.slice(start, start + size).map((fake) => fake.run), nextPageToken: next };
  }

  #ensure(key: string) {
    const known = this.profiles.get(key);
    const profile = known ?? create(AgentProfileSchema, { key, profileId: globalThis.crypto.randomUUID() });
    this.profiles.set(key, profile);
    return { profile, created: known === undefined };
  }

  #stop(fake: FakeRun) {
    fake.stopRequested = true;
    setTimeout(() => this.onStop(fake), 5);
    return { run: fake.run };
  }

  #approve(fake: FakeRun, digest: string) {
    if (digest !== "digest-1") {
      throw refusal("CHANGE_SET_STALE", `the change set is digest-1, not ${digest}`, Code.Aborted);
    }
    fake.move(RunState.COMPLETED);
    return { run: fake.run, appliedFiles: ["src/sum.mjs"] };
  }

  #reject(fake: FakeRun) {
    fake.move(RunState.REJECTED);
    return { run: fake.run };
  }

  async *#watch(request: WatchRunEventsRequest, signal: AbortSignal): AsyncGenerator<WatchRunEventsResponse> {
    const fake = this.#find(request.runId);
    const heartbeatMs = request.heartbeatIntervalMs || 15_000;
    const fresh: EventDelta[] = [];
    let wake = () => {};
    const forget = fake.listen((item) => {
      if (item.$typeName === EventDeltaSchema.typeName) {
        fresh.push(item as EventDelta);
      }
      wake();
    });
    this.openWatches++;
    try {
      yield frame({
        case: "opened",
        value: { logId: "log-1", newestSequence: fake.run.lastSequence, heartbeatIntervalMs: heartbeatMs },
      });
      let after = Number(request.afterSequence);
      while (!signal.aborted) {
        for (const delta of fresh.splice(0)) {
          if (request.deltas) {
            yield frame({ case: "delta", value: delta });
          }
        }
        const events = fake.events.slice(after);
        after += events.length;
        const kinds: readonly string[] = request.kinds.map(String);
        const wanted = events.filter((event) => kinds.length === 0 || kinds.includes(String(kindNumber(event))));
        if (wanted.length > 0) {
          yield frame({ case: "batch", value: { events: wanted, reachesTail: after === fake.events.length } });
          continue;
        }
        if (fake.ended) {
          yield frame({ case: "endOfLog", value: { lastSequence: BigInt(after) } });
          return;
        }
        const woken = await Promise.race([
          new Promise<boolean>((resolve) => {
            wake = () => resolve(true);
            signal.addEventListener("abort", () => resolve(true), { once: true });
          }),
          new Promise<boolean>((resolve) => setTimeout(() => resolve(false), heartbeatMs).unref()),
        ]);
        if (!woken) {
          yield frame({ case: "heartbeat", value: { sequence: BigInt(after), position: BigInt(after) } });
        }
      }
    } finally {
      this.openWatches--;
      forget();
    }
  }
}

/** A run that edits a file and waits for review. */
export function playEdit(run: FakeRun): void {
  run.move(RunState.RUNNING);
  run.append({ case: "message", value: { role: 2, text: "I will fix the sum." } }, "m1");
  run.append({ case: "toolCall", value: { name: "Edit", kind: 2, title: "Edit src/sum.mjs", inputJson: "{}" } }, "t1");
  run.append({ case: "toolResult", value: { text: "done" } }, "t1");
  const total = create(UsageTotalsSchema, { inputTokens: 1200n, outputTokens: 80n, costUsd: 0.0123, turns: 2 });
  run.run.usage = total;
  run.append({ case: "usage", value: { total } });
  run.move(RunState.NEEDS_REVIEW, RunOutcome.SUCCEEDED);
}

function refusal(reason: string, sentence: string, code: Code): ConnectError {
  const value = create(ErrorInfoSchema, { reason, domain: "agent-manager" });
  return new ConnectError(sentence, code, undefined, [{ desc: ErrorInfoSchema, value }]);
}

function frame(value: Frame): WatchRunEventsResponse {
  return create(WatchRunEventsResponseSchema, { frame: value });
}

function kindNumber(event: RunEvent): number {
  return RunEventSchema.oneofs[0]?.fields.find((field) => field.localName === event.event.case)?.number ?? 0;
}
