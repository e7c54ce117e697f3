import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { sized } from "./support/chance.js";
import { FakeClock } from "./support/fake-clock.js";
import { underFault } from "./support/fault-site.js";

const library = await FakeClock.findLibrary();
if (library === undefined) console.warn("skipped: clock jumps need libfaketime (apt-get install libfaketime)");

const HOUR_S = 3_600;
const jumps = sized([HOUR_S, -HOUR_S, 10 * 365 * 24 * HOUR_S, -5 * 365 * 24 * HOUR_S, 0], [HOUR_S, -2 * HOUR_S, 0]);

test.skipIf(library === undefined)("clocks that jump by hours and years keep order and leases, and end no run", () =>
  underFault({ name: "clock jumps", environment: { AGENT_MANAGER_LEASE_TTL_MS: "3000" } }, async (site) => {
    const clocks = await Promise.all(
      ["a", "b"].map((name) => FakeClock.create(join(site.folder, `clock-${name}`), library ?? "")),
    );
    const servers = [
      await site.startServer("a", clocks[0]?.environment),
      await site.startServer("b", clocks[1]?.environment),
    ];
    const over = join(site.folder, "over");
    // half of the agents are silent while the clocks jump
    const steps = (index: number) => [
      ...(index < 2 ? [{ lines: { count: 1_000, every: 5, pace_ms: 20 } }] : []),
      { wait_for: over },
      { lines: { count: 100 } },
    ];
    // the supervisors and agents have the clock of their server
    const variables = Object.keys(clocks[0]?.environment ?? {});
    await site.startRuns(4, (index) => ({
      steps: steps(index),
      variables,
      via: servers[index % 2] ?? site.chance.pick(servers),
    }));
    for (const seconds of jumps) {
      await sleep(site.chance.between(1_500, 2_500)); // the watchdogs look once a second
      for (const clock of clocks) await clock.jump(seconds + site.chance.between(0, 60));
    }
    await sleep(1_500);
    await writeFile(over, "");
    await site.settle();
    expect(await site.ownerChanges()).toBe(0);
  }),
);
