import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "vitest";
import { startExternalPostgres } from "../support/external-postgres.js";
import { sized } from "./support/chance.js";
import type { FaultServer } from "./support/fault-server.js";
import { underFault } from "./support/fault-site.js";
import { until } from "./support/processes.js";

const AGENTS = sized(10, 4);
const KILLS = sized(5, 3);
const DOWN_MS = sized(120_000, 5_000);

// They end only after the last of the kills.
const steps = (until: string) => [
  { lines: { count: 2_000, pace_ms: 10 } },
  { wait_for: until },
  { lines: { count: 200 } },
];

describe("nothing is lost when Postgres", () => {
  test(`of its own is killed ${KILLS} times and stays away for ${DOWN_MS / 1_000} s`, async () => {
    const postgres = await startExternalPostgres();
    try {
      await underFault({ name: "external postgres killed", database: { url: postgres.url } }, async (site) => {
        const server = await site.startServer();
        const over = join(site.folder, "over");
        await site.startRuns(AGENTS, () => ({ steps: steps(over) }));
        for (let kill = 0; kill < KILLS; kill += 1) {
          await sleep(site.chance.between(200, 1_000));
          await postgres.kill();
          await sleep(kill === 0 ? DOWN_MS : site.chance.between(0, 500));
          await postgres.restart();
        }
        await writeFile(over, "");
        if (!server.running) throw new Error(`the server did not survive: ${server.output}`);
      });
    } finally {
      await postgres.remove();
    }
  });

  test(`that the server looks after is killed ${KILLS} times`, () =>
    underFault({ name: "embedded postgres killed", database: "embedded" }, async (site) => {
      const server = await site.startServer();
      const over = join(site.folder, "over");
      await site.startRuns(AGENTS, () => ({ steps: steps(over) }));
      for (let kill = 0; kill < KILLS; kill += 1) {
        await sleep(site.chance.between(200, 1_000));
        const pid = await readPostmaster(server);
        process.kill(pid, "SIGKILL");
        const another = async () => ![0, pid].includes(await readPostmaster(server));
        await until("the server has started another Postgres", another);
        await until("it answers", async () => (await server.am.health().catch(() => "")) === "serving");
      }
      await writeFile(over, "");
    }));
});

async function readPostmaster({ dataDir }: FaultServer): Promise<number> {
  const text = await readFile(join(dataDir, "postgres", "postmaster.pid"), "utf8").catch(() => "");
  return Number(text.split("\n")[0]);
}
