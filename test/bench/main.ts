import { cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Benchmark } from "./benchmark.js";
import { append } from "./cases/append.js";
import { fanOut } from "./cases/fan-out.js";
import { growth } from "./cases/growth.js";
import { latency } from "./cases/latency.js";
import { memory } from "./cases/memory.js";
import { pages } from "./cases/pages.js";
import { replay } from "./cases/replay.js";
import { restart } from "./cases/restart.js";
import { runStart } from "./cases/run-start.js";
import { formatTable, type Row } from "./report.js";
import { BenchCluster, Workbench } from "./workbench.js";

const benchmarks: readonly Benchmark[] = [append, latency, fanOut, replay, pages, runStart, memory, restart, growth];

/** Runs the named benchmarks, or all of them, and prints the table. Returns the exit code. */
export async function runBenchmarks(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { quick: { type: "boolean", default: false }, events: { type: "string" } },
  });
  const chosen = benchmarks.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const unknown = positionals.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name));
  if (unknown.length > 0) {
    console.error(`no such benchmark: ${unknown.join(", ")}; there are\n${listBenchmarks()}`);
    return 2;
  }
  const { quick } = values;
  const suite = new Suite({ quick, events: Number(values.events ?? (quick ? 20_000 : 1_000_000)) });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void suite.close().finally(() => process.exit(130)));
  }
  try {
    for (const benchmark of chosen) await suite.run(benchmark);
  } finally {
    await suite.close();
  }
  console.log(`\n${new Date().toISOString()}, ${machine()}${quick ? ", quick" : ""}\n\n${formatTable(suite.rows)}`);
  if (suite.failed.length > 0) console.error(`failed: ${suite.failed.join(", ")}`);
  return suite.failed.length > 0 ? 1 : 0;
}

/** Runs benchmarks one after the other; what they leave is taken away, also when they fail or are interrupted. */
class Suite {
  readonly rows: Row[] = [];
  readonly failed: string[] = [];
  readonly #cluster = new BenchCluster();
  #bench: Workbench | undefined;

  constructor(readonly options: { readonly quick: boolean; readonly events: number }) {}

  /** What was lost or came twice fails a benchmark, a slow figure does not. */
  async run({ name, about, run }: Benchmark): Promise<void> {
    const startMs = Date.now();
    console.log(`\n${name}: ${about}`);
    this.#bench = await Workbench.open(this.#cluster);
    try {
      const note = (text: string) => console.log(`  ${text}`);
      this.rows.push(...(await run({ ...this.options, bench: this.#bench, note })));
    } catch (error) {
      console.error(error);
      this.failed.push(name);
    }
    await this.#bench.close();
    console.log(`  took ${((Date.now() - startMs) / 1_000).toFixed(1)} s`);
  }

  async close(): Promise<void> {
    await this.#bench?.close();
    await this.#cluster.stop();
  }
}

function machine(): string {
  const processors = cpus();
  return `${processors.length} x ${processors[0]?.model ?? "unknown processor"}, node ${process.version}`;
}

function listBenchmarks(): string {
  return benchmarks.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join("\n");
}
