import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "vitest";
import { sized } from "./support/chance.js";
import type { FaultServer } from "./support/fault-server.js";
import { type FaultSite, underFault } from "./support/fault-site.js";
import { until } from "./support/processes.js";

const PAUSES = sized(6, 2);
const environment = { AGENT_MANAGER_LEASE_TTL_MS: "1500", AGENT_MANAGER_HOST_LOST_MS: "600000" };

test(`an owner paused past its lease ${PAUSES} times loses its runs to the other server and writes nothing when it wakes`, () =>
  underFault({ name: "owner paused", environment }, async (site) => {
    const servers = [await site.startServer("a"), await site.startServer("b")];
    const over = join(site.folder, "over");
    const steps = [{ lines: { count: 1_500, every: 5, pace_ms: 20 } }, { wait_for: over }, { lines: { count: 200 } }];
    const ids = await site.startRuns(4, (index) => ({ steps, via: servers[index % 2] ?? site.chance.pick(servers) }));
    for (const id of ids) await until("the run is under way", async () => (await site.events(id)) > 10);
    for (let pause = 0; pause < PAUSES; pause += 1) {
      const paused = servers[pause % 2] ?? site.chance.pick(servers);
      const owner = await idOf(paused);
      await sleep(site.chance.between(0, 500));
      paused.pause();
      await until("the other server has taken the runs over", async () => (await ownedBy(site, owner)) === 0);
      await sleep(site.chance.between(0, 200));
      paused.resume();
    }
    await site.chance.pick(servers).end(); // and one that does not come back
    await writeFile(over, "");
  }));

async function idOf({ dataDir }: FaultServer): Promise<string> {
  return (await readFile(join(dataDir, "server-id"), "utf8")).trim();
}

async function ownedBy(site: FaultSite, serverId: string): Promise<number> {
  const rows = await site.db.selectFrom("run").select("run_id").where("owner_id", "=", serverId).execute();
  return rows.length;
}
