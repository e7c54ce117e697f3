import { cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Benchmark } from "./benchmark.js";
import { append } from "./cases/append.js";
import { pages } from "./cases/pages.js";
import { formatTable, type Row } from "./report.js";
import { BenchCluster, Workbench } from "./workbench.js";

const benchmarks: readonly Benchmark[] = [
  append,
  pages,
];

/** Runs the named benchmarks, or all of them, and prints the table. Returns the exit code. */
export async function runBenchmarks(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { quick: { type: "boolean", default: false }, events: { type: "string" } },
  });
  const chosen = positionals.map((name) => benchmarks.find((benchmark) => benchmark.name === name));
  if (chosen.includes(undefined)) {
    console.error(`usage: npm run bench -- [--quick] [--events N] [name...]\n${listBenchmarks()}`);
    return 2;
  }
  const { quick } = values;
  const events = Number(values.events ?? (quick ? 20_000 : 1_000_000));
  const rows: Row[] = [];
  const failed: string[] = [];
  const cluster = new BenchCluster();
  for (const benchmark of chosen.length > 0 ? chosen : benchmarks) {
    if (!benchmark) continue;
    const outcome = await runOne(benchmark, cluster, { quick, events });
    if (outcome) rows.push(...outcome);
    else failed.push(benchmark.name);
  }
  await cluster.stop();
  console.log(`\n${new Date().toISOString()}, ${machine()}${quick ? ", quick" : ""}\n\n${formatTable(rows)}`);
  if (failed.length > 0) console.error(`failed: ${failed.join(", ")}`);
  return failed.length > 0 ? 1 : 0;
}

/** Undefined if it failed: what was lost or came twice fails a benchmark, a slow figure does not. */
async function runOne(
  benchmark: Benchmark,
  cluster: BenchCluster,
  options: { readonly quick: boolean; readonly events: number },
): Promise<readonly Row[] | undefined> {
  const startMs = Date.now();
  console.log(`\n${benchmark.name}: ${benchmark.about}`);
  const bench = await Workbench.open(cluster);
  try {
    const rows = await benchmark.run({ ...options, bench, note: (text) => console.log(`  ${text}`) });
    for (const row of rows) console.log(`  ${row.what}: ${row.measured}; ${row.limit}; ${row.result} ${row.target}`);
    return rows;
  } catch (error) {
    console.error(error);
    return undefined;
  } finally {
    await bench.close();
    console.log(`  took ${((Date.now() - startMs) / 1_000).toFixed(1)} s`);
  }
}

function machine(): string {
  const processors = cpus();
  return `${processors.length} x ${processors[0]?.model ?? "unknown processor"}, node ${process.version}`;
}

function listBenchmarks(): string {
  return benchmarks.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join("\n");
}
