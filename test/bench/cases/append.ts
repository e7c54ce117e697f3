import { join } from "node:path";
import { LogHub } from "../../../server/src/log/log-hub.js";
import { LogWriter } from "../../../server/src/log/log-writer.js";
import type { EncodedEvent } from "../../../server/src/store/run-events.js";
import type { Benchmark, BenchmarkContext } from "../benchmark.js";
import { comparisonRow, perSecond, type Row } from "../report.js";
import { sampleEvents } from "../sample-events.js";
import { compare, timed } from "../statistics.js";
import { storeRuns } from "../stored-runs.js";
import type { BenchDatabase } from "../workbench.js";

/** How many events a run hands over at once: one run alone, and each of a hundred, when there is a backlog. */
const shapes = [
  { runs: 1, eventsAtOnce: 3_000 },
  { runs: 100, eventsAtOnce: 40 },
] as const;

export const append: Benchmark = {
  name: "append",
  about: "durable append through the log's writer, against COPY of the same rows into the same table",
  async run(context) {
    const rows: Row[] = [];
    for (const shape of shapes) rows.push(await compareAppend(context, shape));
    return rows;
  },
};

interface Shape {
  readonly runs: number;
  readonly eventsAtOnce: number;
}

async function compareAppend({ bench, quick }: BenchmarkContext, shape: Shape): Promise<Row> {
  const database = await bench.openDatabase();
  await database.pool.query("create table copied (like run_event including all)");
  const load = new AppendLoad(database, await storeRuns(database, shape.runs), sampleEvents(shape.eventsAtOnce));
  const total = quick ? 24_000 : 240_000;
  const file = join(bench.folder, `rows-${shape.runs}.copy`);
  const comparison = await compare({
    rounds: quick ? 2 : 5,
    measure: async () => {
      await database.pool.query("truncate run_event");
      await database.pool.query("checkpoint");
      const seconds = await timed(() => load.append(total));
      await database.pool.query(`copy run_event to '${file}' (format binary)`);
      return total / seconds;
    },
    limit: async () => {
      await database.pool.query("truncate copied");
      await database.pool.query("checkpoint");
      return total / (await timed(() => database.pool.query(`copy copied from '${file}' (format binary)`)));
    },
  });
  const what = `durable append, ${shape.runs} run${shape.runs > 1 ? "s" : ""}, ${shape.eventsAtOnce} at once`;
  return comparisonRow({ what, comparison, format: perSecond, limitName: "binary COPY", target: { atLeast: 0.6 } });
}

/** Runs that always have more to append, each as soon as its last append is durable. */
export class AppendLoad {
  readonly #writer: LogWriter;
  readonly #offsets = new Map<string, number>();

  constructor(
    { db }: BenchDatabase,
    readonly runs: readonly string[],
    readonly events: readonly EncodedEvent[],
  ) {
    this.#writer = new LogWriter({ db, hub: new LogHub(), onRetry: (error) => console.error(error) });
  }

  async append(total: number): Promise<void> {
    let left = total;
    const feed = async (runId: string) => {
      while (left > 0) {
        left -= this.events.length;
        const fromOffset = this.#offsets.get(runId) ?? 0;
        const entry = { runId, epoch: 0n, fromOffset, toOffset: fromOffset + 1, events: this.events };
        const result = await this.#writer.append(entry);
        if (result.kind !== "appended") throw new Error(`an append of run ${runId} was refused`);
        this.#offsets.set(runId, fromOffset + 1);
      }
    };
    await Promise.all(this.runs.map(feed));
  }
}
