import { readRunEvents } from "../../../server/src/store/run-events.js";
import type { Benchmark, BenchmarkContext } from "../benchmark.js";
import { comparisonRow, type Row } from "../report.js";
import { sampleEvents } from "../sample-events.js";
import { compare, timed } from "../statistics.js";
import { fillRun, storeRuns } from "../stored-runs.js";
import type { BenchDatabase } from "../workbench.js";
import { AppendLoad } from "./append.js";

const EVENTS_AT_ONCE = 40;
const READ_EVENTS = 500;
const READS = 20;

interface Scale {
  readonly runs: number;
  /** Events appended in a round. */
  readonly events: number;
  /** Events in the log before. */
  readonly history: number;
}

export const growth: Benchmark = {
  name: "growth",
  about: "what an event costs with ten times as many runs, events at once, or events in the log",
  async run(context) {
    const base: Scale = context.quick
      ? { runs: 20, events: 4_000, history: 10_000 }
      : { runs: 100, events: 40_000, history: 150_000 };
    const small = await prepare(context, base);
    const deep = await prepare(context, { ...base, history: 10 * base.history });
    const wide = await prepare(context, { ...base, runs: 10 * base.runs });
    const long = { ...small, scale: { ...base, events: 10 * base.events } };
    const rounds = context.quick ? 1 : 5;
    const measure = (what: string, scaled: Prepared, cost: (prepared: Prepared) => Promise<number>) =>
      compareCosts({ what, rounds, scaled: () => cost(scaled), plain: () => cost(small) });
    return [
      await measure("append with 10x the runs", wide, appendCost),
      await measure("append of 10x the events", long, appendCost),
      await measure("append to 10x the history", deep, appendCost),
      await measure("read of a run in 10x the history", deep, readCost),
    ];
  },
};

interface Prepared {
  readonly scale: Scale;
  readonly database: BenchDatabase;
  readonly load: AppendLoad;
  readonly historyRuns: readonly string[];
}

async function prepare({ bench }: BenchmarkContext, scale: Scale): Promise<Prepared> {
  const database = await bench.openDatabase();
  const runs = await storeRuns(database, scale.runs + 10);
  const historyRuns = runs.slice(0, 10);
  for (const runId of historyRuns) await fillRun(database, { runId, events: scale.history / 10 });
  return { scale, database, historyRuns, load: new AppendLoad(database, runs.slice(10), sampleEvents(EVENTS_AT_ONCE)) };
}

/** Microseconds per event; the log is as long afterwards as it was. */
async function appendCost({ scale, database: { pool }, load }: Prepared): Promise<number> {
  await pool.query("checkpoint");
  await load.append(scale.events / 10); // the first change of a page after a checkpoint is logged as a whole page
  const seconds = await timed(() => load.append(scale.events));
  await pool.query("delete from run_event where run_id = any($1)", [load.runs]);
  await pool.query("vacuum run_event");
  return (seconds / scale.events) * 1e6;
}

async function readCost({ scale, database: { db }, historyRuns }: Prepared): Promise<number> {
  const last = scale.history / 10 - READ_EVENTS;
  const seconds = await timed(async () => {
    for (let read = 0; read < READS; read += 1) {
      const runId = historyRuns[read % historyRuns.length] ?? "";
      const afterSequence = BigInt(Math.floor((last * read) / READS));
      const events = await readRunEvents(db, { runId, afterSequence, kinds: [], limit: READ_EVENTS });
      if (events.length !== READ_EVENTS) throw new Error(`a page has ${events.length} events`);
    }
  });
  return (seconds / (READS * READ_EVENTS)) * 1e6;
}

interface CostComparison {
  readonly what: string;
  readonly rounds: number;
  readonly scaled: () => Promise<number>;
  readonly plain: () => Promise<number>;
}

async function compareCosts({ what, rounds, scaled, plain }: CostComparison): Promise<Row> {
  const comparison = await compare({ rounds, measure: scaled, limit: plain });
  const format = (value: number) => `${value.toFixed(1)} us`;
  return comparisonRow({ what: `${what}, per event`, comparison, format, limitName: "at 1x", target: { atMost: 1.2 } });
}
