import { randomInt } from "node:crypto";

/** One seed for all files of a run, said at its start: FAULT_SEED=that runs it again with the same chances. */
export default function setup(): void {
  process.env.FAULT_SEED ??= String(randomInt(2 ** 32 - 1));
  console.log(`FAULT_SEED=${process.env.FAULT_SEED}${process.env.FAULT_SHORT === "1" ? " FAULT_SHORT=1" : ""}`);
}
