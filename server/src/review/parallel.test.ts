import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { inParallel } from "./parallel.js";

test("results keep the order and no more than the limit are at work", async () => {
  let atWork = 0;
  let most = 0;
  const results = await inParallel([5, 1, 3, 2], 2, async (item) => {
    atWork += 1;
    most = Math.max(most, atWork);
    await sleep(item);
    atWork -= 1;
    return item * 10;
  });
  expect(results).toEqual([50, 10, 30, 20]);
  expect(most).toBe(2);
});

test("a failure is thrown when nothing is at work any more, and nothing new is taken", async () => {
  const finished: number[] = [];
  const work = inParallel([1, 20, 3, 4], 2, async (item) => {
    await sleep(item);
    if (item === 1) throw new Error("first");
    finished.push(item);
  });
  await expect(work).rejects.toThrow("first");
  expect(finished).toEqual([20]);
});
