import type { Benchmark } from "../benchmark.js";
import { comparisonRow, milliseconds, type Row } from "../report.js";
import { compare, quantile } from "../statistics.js";
import { fillRun, storeRuns } from "../stored-runs.js";

const PAGE_SIZE = 100;
const CALLS = 40;

export const pages: Benchmark = {
  name: "pages",
  about: "ListRunEvents far into a long run, against its first page",
  async run({ bench, quick, events, note }) {
    const database = await bench.openDatabase();
    const [runId = ""] = await storeRuns(database, 1);
    await fillRun(database, { runId, events });
    const { am } = await bench.startServer({ environment: { DATABASE_URL: database.url } });
    const readPage = async (page: number): Promise<number> => {
      const times: number[] = [];
      const pageToken = page === 1 ? "" : String((page - 1) * PAGE_SIZE);
      for (let call = 0; call < CALLS; call += 1) {
        const start = performance.now();
        const answer = await am.clients.events.listRunEvents({ runId, pageToken, pageSize: PAGE_SIZE });
        times.push(performance.now() - start);
        if (answer.events.length !== PAGE_SIZE) throw new Error(`page ${page} has ${answer.events.length} events`);
      }
      return quantile(times, 0.5);
    };
    const rows: Row[] = [];
    for (const page of [100, events / PAGE_SIZE]) {
      const comparison = await compare({
        rounds: quick ? 1 : 9,
        measure: () => readPage(page),
        limit: () => readPage(1),
      });
      const what = `page ${page} of ${events} events`;
      rows.push(
        comparisonRow({ what, comparison, format: milliseconds, limitName: "page 1", target: { atMost: 1.5 } }),
      );
    }
    note(`pages of ${PAGE_SIZE} events, medians of ${CALLS} calls`);
    return rows;
  },
};
