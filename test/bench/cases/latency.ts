import { runnerEnvironment, timedAgent } from "../agents.js";
import type { Benchmark } from "../benchmark.js";
import { judge, milliseconds, type Row, spread, type Target } from "../report.js";
import { quantile, sampleOf } from "../statistics.js";
import type { BenchDatabase } from "../workbench.js";

const INTERVAL_MS = 4;

export const latency: Benchmark = {
  name: "latency",
  about: "from a line that an agent writes to its event in a subscriber's hands, against one fsynced commit",
  async run({ bench, quick, note }) {
    const database = await bench.openDatabase();
    const environment = { DATABASE_URL: database.url, ...runnerEnvironment(timedAgent) };
    const { am } = await bench.startServer({ environment });
    const projectRoot = await bench.makeProject();
    const commit = await commitTimer(database);
    const lines = quick ? 60 : 1_000;
    const rounds: { readonly delays: readonly number[]; readonly commits: readonly number[] }[] = [];
    for (let round = 0; round <= (quick ? 1 : 5); round += 1) {
      const commits = await timeCommits(commit, lines);
      const prompt = JSON.stringify({ lines, interval_ms: INTERVAL_MS });
      const run = await am.runs.start({ task: { prompt, projectRoot } });
      const delays: number[] = [];
      for await (const { event } of run.events()) {
        if (event.case === "log") delays.push(ageMs(event.value.data));
      }
      if (delays.length !== lines) throw new Error(`${delays.length} of ${lines} lines came`);
      if (round > 0) rounds.push({ delays, commits });
    }
    note(`one line every ${INTERVAL_MS} ms, ${lines} lines and as many commits a round`);
    return [row(rounds, 0.5, { atMost: 3 }), row(rounds, 0.99, { atMost: 10 })];
  },
};

function row(
  rounds: readonly { readonly delays: readonly number[]; readonly commits: readonly number[] }[],
  share: number,
  target: Target,
): Row {
  const delays = sampleOf(rounds.map((round) => quantile(round.delays, share)));
  const commits = sampleOf(rounds.map((round) => quantile(round.commits, share)));
  const ratio = sampleOf(rounds.map((round) => quantile(round.delays, share) / quantile(round.commits, share)));
  return {
    what: `line written to event received, p${share * 100}`,
    measured: spread(delays, milliseconds),
    limit: `one commit ${spread(commits, milliseconds)}`,
    result: spread(ratio, (value) => `${value.toFixed(1)}x`),
    ...judge(ratio.median, target, "x"),
  };
}

/** Inserts one row, durably, as any append must at least. */
async function commitTimer({ pool }: BenchDatabase): Promise<() => Promise<unknown>> {
  await pool.query("create table committed (n bigint primary key, data bytea)");
  const client = await pool.connect();
  client.release(); // it stays the pool's first; nobody else asks meanwhile
  const data = Buffer.alloc(280, 1);
  let n = 0;
  return () => {
    n += 1;
    return pool.query({ name: "commit", text: "insert into committed values ($1, $2)", values: [n, data] });
  };
}

async function timeCommits(commit: () => Promise<unknown>, count: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const start = performance.now();
    await commit();
    times.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS)); // at the pace of the lines
  }
  return times;
}

/** How long ago a line "t <ns>" was written. */
function ageMs(line: Uint8Array): number {
  return Number(process.hrtime.bigint() - BigInt(Buffer.from(line).toString().slice(2))) / 1e6;
}
