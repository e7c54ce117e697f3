import { createHash, randomInt } from "node:crypto";

/** The seed of this process; the same FAULT_SEED gives the same faults again, as far as the machine's speed allows. */
const suiteSeed = process.env.FAULT_SEED ?? String(randomInt(2 ** 32 - 1));

/** True for the short form of the suite, which runs with every push. */
const short = process.env.FAULT_SHORT === "1";

/** The size of a test in the full and in the short form. */
export function sized<T>(full: T, shortened: T): T {
  return short ? shortened : full;
}

/** Chance that comes out the same for the same seed and name. */
export class Chance {
  #state: number;

  constructor(readonly name: string) {
    this.#state = createHash("sha256").update(`${suiteSeed} ${name}`).digest().readUInt32BE();
    console.log(`FAULT_SEED=${suiteSeed} ${name}`);
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  happens(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.between(0, items.length - 1)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }
}
