import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Benchmark, BenchmarkContext } from "../benchmark.js";
import { Child } from "../child.js";
import type { EventServerRequest, PublishAnswer } from "../processes/event-server.js";
import type { RawServerRequest } from "../processes/raw-server.js";
import type { ReaderAnswer, ReaderRequest } from "../processes/reader.js";
import { comparisonRow, perSecond, type Row, type Target } from "../report.js";
import { compare, quantile } from "../statistics.js";
import { fillRun, storeRuns } from "../stored-runs.js";
import type { BenchDatabase } from "../workbench.js";
import { watchOf } from "./replay.js";

const TOKEN = "token-of-the-fan-out-benchmark";
/** So far ahead of the slowest watcher is published: well within what the server keeps in memory for all. */
const WINDOW_EVENTS = 6_400;
/** After the first frame a watcher looks once into Postgres, which must be over before the events are there. */
const SETTLE_MS = 200;
const MAX_STREAMS_PER_CONNECTION = 100;

interface Crowd {
  readonly subscribers: number;
  readonly events: number;
  readonly target: Target;
}

const crowds: readonly Crowd[] = [
  { subscribers: 1, events: 192_000, target: { atLeast: 0.5 } },
  { subscribers: 10, events: 64_000, target: {} },
  { subscribers: 100, events: 12_800, target: {} },
  { subscribers: 1_000, events: 3_200, target: { atLeast: 0.5 } },
];

const quickCrowds: readonly Crowd[] = [
  { subscribers: 1, events: 19_200, target: { atLeast: 0.5 } },
  { subscribers: 1_000, events: 320, target: { atLeast: 0.5 } },
];

export const fanOut: Benchmark = {
  name: "fan-out",
  about: "one run's events live to its subscribers, against the same bytes over raw HTTP/2",
  async run(context) {
    const database = await context.bench.openDatabase();
    const stage = await openStage(context, database);
    const rows: Row[] = [];
    for (const crowd of context.quick ? quickCrowds : crowds) rows.push(await compareCrowd(context, stage, crowd));
    return rows;
  },
};

interface Stage {
  readonly database: BenchDatabase;
  readonly ours: { readonly child: Child; readonly url: string };
  readonly raw: { readonly child: Child; readonly url: string };
  readonly reader: Child;
}

async function openStage({ bench }: BenchmarkContext, database: BenchDatabase): Promise<Stage> {
  const start = async (name: "event-server" | "raw-server", request: EventServerRequest | RawServerRequest) => {
    const child = new Child(name);
    bench.onClose(() => child.stop());
    return { child, ...(await child.ask<{ url: string }>(request)) };
  };
  const reader = new Child("reader");
  bench.onClose(() => reader.stop());
  return {
    database,
    reader,
    ours: await start("event-server", { kind: "listen", databaseUrl: database.url, token: TOKEN }),
    raw: await start("raw-server", { kind: "listen" }),
  };
}

/** CPU time of the server and of the reader per delivered event, in microseconds. */
interface Cost {
  readonly server: number;
  readonly reader: number;
}

async function compareCrowd(context: BenchmarkContext, stage: Stage, crowd: Crowd): Promise<Row> {
  const { subscribers, target } = crowd;
  const file = join(context.bench.folder, `messages-${subscribers}`);
  const costs = { ours: [] as Cost[], raw: [] as Cost[] };
  const comparison = await compare({
    rounds: context.quick ? 1 : 5,
    measure: () => deliverLive(stage, crowd, { file, costs: costs.ours }),
    limit: () => deliverRaw(stage, crowd, { file, costs: costs.raw }),
  });
  context.note(
    `${subscribers} subscribers, CPU us a delivery: ${describe("server", costs.ours)}; ${describe("raw", costs.raw)}`,
  );
  return comparisonRow({
    what: `fan-out to ${subscribers} subscriber${subscribers > 1 ? "s" : ""}`,
    comparison,
    format: perSecond,
    limitName: "raw HTTP/2",
    target,
  });
}

interface Round {
  /** The messages of one subscriber, kept by the live rounds and sent by the raw ones. */
  readonly file: string;
  readonly costs: Cost[];
}

/** Deliveries per second of events that are published while their watchers wait. */
async function deliverLive({ database, ours, reader }: Stage, crowd: Crowd, round: Round): Promise<number> {
  const { events } = crowd;
  const [runId = ""] = await storeRuns(database, 1);
  const watch = watchOf({ url: ours.url, token: TOKEN }, runId);
  await reader.ask({ ...watch, ...streamsOf(crowd), recordTo: round.file } satisfies ReaderRequest);
  await sleep(SETTLE_MS);
  await fillRun(database, { runId, events, announced: false });
  await ours.child.ask({ kind: "load", runId } satisfies EventServerRequest);
  return delivered(crowd, round, async () => {
    for (let upTo = WINDOW_EVENTS; upTo < events; upTo += WINDOW_EVENTS) {
      await ours.child.ask({ kind: "publish", upTo } satisfies EventServerRequest);
      await reader.ask({ kind: "await", events: upTo } satisfies ReaderRequest);
    }
    await ours.child.ask({ kind: "publish", upTo: events } satisfies EventServerRequest);
    const read = await reader.ask<ReaderAnswer>({ kind: "finish", events } satisfies ReaderRequest);
    const used = await ours.child.ask<PublishAnswer>({ kind: "publish", upTo: events } satisfies EventServerRequest);
    return { read, used };
  });
}

async function deliverRaw({ raw, reader }: Stage, crowd: Crowd, round: Round): Promise<number> {
  const watch = watchOf({ url: raw.url, token: TOKEN }, "");
  await reader.ask({ ...watch, ...streamsOf(crowd) } satisfies ReaderRequest);
  await sleep(SETTLE_MS);
  return delivered(crowd, round, async () => {
    const used = await raw.child.ask<PublishAnswer>({ kind: "publish", file: round.file } satisfies RawServerRequest);
    const read = await reader.ask<ReaderAnswer>({ kind: "finish", events: crowd.events } satisfies ReaderRequest);
    return { read, used };
  });
}

async function delivered(
  { subscribers, events }: Crowd,
  { costs }: Round,
  deliver: () => Promise<{ readonly read: ReaderAnswer; readonly used: PublishAnswer }>,
): Promise<number> {
  const deliveries = subscribers * events;
  const start = performance.now();
  const { read, used } = await deliver();
  const seconds = (performance.now() - start) / 1_000;
  if (read.events !== deliveries) throw new Error(`${read.events} of ${deliveries} deliveries came`);
  costs.push({ server: (used.cpuSeconds / deliveries) * 1e6, reader: (read.cpuSeconds / deliveries) * 1e6 });
  return deliveries / seconds;
}

function streamsOf({ subscribers }: Crowd) {
  return { streams: subscribers, connections: Math.ceil(subscribers / MAX_STREAMS_PER_CONNECTION) };
}

function describe(name: string, costs: readonly Cost[]): string {
  const median = (key: keyof Cost) =>
    quantile(
      costs.slice(1).map((cost) => cost[key]),
      0.5,
    ).toFixed(2);
  return `${name} ${median("server")} (its reader ${median("reader")})`;
}
