import { setTimeout as sleep } from "node:timers/promises";
import { test } from "vitest";
import { sized } from "./support/chance.js";
import { underFault } from "./support/fault-site.js";

const RUNS = sized(100, 24);

test(`two servers that race for ${RUNS} runs, now and then killed, start each agent once and finish each run`, () =>
  underFault({ name: "servers race", environment: { AGENT_MANAGER_MAX_ACTIVE_RUNS: "6" } }, async (site) => {
    const servers = [await site.startServer("a"), await site.startServer("b")];
    const steps = [{ lines: { count: 100, pace_ms: 10 } }];
    await site.startRuns(RUNS, (index) => ({ steps, via: servers[index % 2] ?? site.chance.pick(servers) }));
    for (let kill = 0; kill < sized(6, 2); kill += 1) {
      const server = site.chance.pick(servers);
      await sleep(site.chance.between(100, 1_500));
      await server.end();
      await server.start();
    }
  }));
