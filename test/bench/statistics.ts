/** What several rounds of one measurement gave. */
export interface Sample {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function sampleOf(values: readonly number[]): Sample {
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** The measured figure and its limit, taken in turns; `ratios` are those of rounds that were neighbours. */
export interface Comparison {
  readonly measured: Sample;
  readonly limit: Sample;
  readonly ratio: Sample;
}

export interface ComparisonOptions {
  readonly rounds: number;
  readonly measure: (round: number) => Promise<number>;
  readonly limit: (round: number) => Promise<number>;
}

/**
 * Measures both in turns, so that whatever else the machine does hits both alike, and changes who goes first.
 * The first round warms up and does not count.
 */
export async function compare({ rounds, measure, limit }: ComparisonOptions): Promise<Comparison> {
  const pairs: { readonly measured: number; readonly limit: number }[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    let measured: number;
    let bound: number;
    if (round % 2 === 0) {
      measured = await measure(round);
      bound = await limit(round);
    } else {
      bound = await limit(round);
      measured = await measure(round);
    }
    if (round > 0) pairs.push({ measured, limit: bound });
  }
  return {
    measured: sampleOf(pairs.map((pair) => pair.measured)),
    limit: sampleOf(pairs.map((pair) => pair.limit)),
    ratio: sampleOf(pairs.map((pair) => pair.measured / pair.limit)),
  };
}

/** Seconds that the action takes. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint();
  await action();
  return Number(process.hrtime.bigint() - start) / 1e9;
}
