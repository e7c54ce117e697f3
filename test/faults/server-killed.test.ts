import { setTimeout as sleep } from "node:timers/promises";
import { test } from "vitest";
import { sized } from "./support/chance.js";
import { underFault } from "./support/fault-site.js";
import { checkDelivery, watchRun } from "./support/watcher.js";

const KILLS = sized(20, 5);
const AGENTS = sized(20, 6);
const LINES = sized(4_000, 1_500);
const WATCHERS = 3;

test(`a server killed ${KILLS} times at random moments over ${AGENTS} agents loses, repeats and reorders nothing`, () =>
  underFault({ name: "server killed" }, async (site) => {
    const server = await site.startServer();
    const ids = await site.startRuns(AGENTS, (index) => ({
      steps: [{ lines: { count: LINES, every: 20, pace_ms: 100, stderr_every: index % 3 === 0 ? 7 : 0 } }],
    }));
    const watched = ids.slice(0, WATCHERS).map((id) => watchRun(server.am, id));
    for (let kill = 0; kill < KILLS; kill += 1) {
      await sleep(site.chance.between(100, 1_000));
      await server.end();
      await server.start();
    }
    await site.settle();
    for (const [index, sequences] of (await Promise.all(watched)).entries()) {
      checkDelivery(sequences, await site.events(ids[index] ?? ""));
    }
  }));
