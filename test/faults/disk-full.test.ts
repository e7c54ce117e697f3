import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RunOutcome, RunState } from "@agent-manager/sdk/proto";
import { describe, test } from "vitest";
import { sized } from "./support/chance.js";
import { ended } from "./support/expectation.js";
import { underFault } from "./support/fault-site.js";
import { until } from "./support/processes.js";
import { SmallDisk } from "./support/small-disk.js";

const available = await SmallDisk.available();
if (!available) console.warn("skipped: disk full needs root and the right to mount a tmpfs");

const HELD_MS = sized(30_000, 2_000);
/** About 20 MB. */
const steps = [{ lines: { count: 5_000, bytes: 4_000, every: 50 } }];

describe.skipIf(!available)("when the disk is full", () => {
  test("of the spool, the agents wait, and go on when there is room again", () =>
    underFault({ name: "spool disk full, then freed" }, async (site) => {
      const disk = await SmallDisk.mount(site, join(site.folder, "a", "runs"), 12);
      await site.startServer();
      await site.startRuns(2, () => ({ steps }));
      await disk.awaitFull();
      await sleep(HELD_MS);
      await disk.grow(200);
    }));

  test("of the spool and stays full, the runs end and say why", () =>
    underFault(
      { name: "spool disk full for good", environment: { AGENT_MANAGER_DISK_FULL_LIMIT_MS: "1500" } },
      async (site) => {
        await SmallDisk.mount(site, join(site.folder, "a", "runs"), 12);
        await site.startServer();
        const expectation = ended(RunOutcome.RESOURCE_EXHAUSTED, RunState.FAILED, "prefix");
        await site.startRuns(2, () => ({ steps, expectation }));
      },
    ));

  test("of the database, the agents go on into their spools, and the log catches up when there is room again", () =>
    underFault({ name: "database disk full, then freed", database: "embedded" }, async (site) => {
      const disk = await SmallDisk.mount(site, join(site.folder, "a"), 400);
      await SmallDisk.mount(site, join(site.folder, "a", "runs"), 400);
      const server = await site.startServer();
      await disk.fill(8);
      await site.startRuns(4, () => ({ steps }));
      await until("appends fail", () => server.output.includes("the log cannot be appended to"));
      await sleep(HELD_MS);
      await disk.empty();
    }));
});
