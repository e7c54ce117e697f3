import type { Row } from "./report.js";
import type { Workbench } from "./workbench.js";

/** One program of the suite. */
export interface Benchmark {
  readonly name: string;
  readonly about: string;
  run(context: BenchmarkContext): Promise<readonly Row[]>;
}

export interface BenchmarkContext {
  readonly bench: Workbench;
  /** Small enough for a smoke test: everything together in half a minute. */
  readonly quick: boolean;
  /** Events of the large run, where a benchmark has one. */
  readonly events: number;
  /** Says what goes on, or a finding that the table has no column for. */
  note(text: string): void;
}
