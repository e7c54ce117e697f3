import { access } from "node:fs/promises";
import { join } from "node:path";
import { RunState } from "@agent-manager/sdk/proto";
import { describe, expect, test } from "vitest";
import { sized } from "./support/chance.js";
import { approved, type Expectation, lost, reviewable } from "./support/expectation.js";
import { readFailpointNames } from "./support/failpoint-names.js";
import { type FaultSite, type Step, underFault } from "./support/fault-site.js";
import { until } from "./support/processes.js";

const twice = sized([1, 2], [1]);

/** Where the server is killed, and at which passages; its runs then end as if nothing had happened. */
const serverPoints: Readonly<Record<string, readonly number[]>> = {
  "change.committed": sized([1, 2, 3, 4, 5, 6], [1, 3]),
  // its id, its address, and what it is about to launch
  "durable.before-rename": sized([1, 2, 3], [1, 3]),
  "executor.claimed": twice,
  "ingest.before-writes": twice,
  // what the agent says first, its lines, and how it ends
  "ingest.committed": sized([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]),
  "launch.spawned": twice,
  "launch.spec-written": twice,
  "review.applied": twice,
  "run.agent-ended": twice,
  "run.base-captured": twice,
  "run.change-set-saved": twice,
  "run.sandbox-made": twice,
};

/** The supervisor went away after its agent had ended: its work is there, the word that it ended is not. */
const lostWithChanges: Expectation = { ...lost, state: RunState.NEEDS_REVIEW, lines: "all" };

/** Where the supervisor is killed, and what becomes of the run: what was on disk by then decides. */
const supervisorPoints: readonly (readonly [point: string, passage: number, expectation: Expectation])[] = [
  ["supervisor.before-spawn", 1, lost],
  ["supervisor.spawned", 1, lost],
  ["durable.before-rename", 1, lost],
  ["supervisor.state-written", 1, lost],
  ["supervisor.agent-ended", 1, lostWithChanges],
  ["supervisor.end-recorded", 1, reviewable],
  ["durable.before-rename", 2, reviewable],
];

test("every failpoint in the sources has a case here", async () => {
  const tested = new Set([...Object.keys(serverPoints), ...supervisorPoints.map(([point]) => point)]);
  expect([...tested].sort()).toEqual(await readFailpointNames());
});

describe("a server killed at", () => {
  const cases = Object.entries(serverPoints).flatMap(([point, passages]) => passages.map((nth) => ({ point, nth })));
  test.each(cases)("$point, passage $nth, is followed by one that ends what it began, once", ({ point, nth }) =>
    underFault({ name: `${point}:${nth}` }, (site) => killServerAt(site, `${point}:${nth}:kill`)),
  );
});

describe("a supervisor killed at", () => {
  test.each(supervisorPoints)(
    "%s, passage %i, leaves a run that says so and nothing that runs",
    (point, nth, expectation) =>
      underFault({ name: `supervisor ${point}:${nth}` }, async (site) => {
        await site.startServer("a", { AGENT_MANAGER_SUPERVISOR_FAILPOINTS: `${point}:${nth}:kill` });
        const id = await site.startRun({ steps: changingSteps(1), expectation });
        await site.settle();
        const exitFile = join(site.folder, "a", "runs", id, "exit.json");
        await expect(access(exitFile), "the supervisor was killed").rejects.toThrow();
        expect((await site.ledgerOf(id)).starts).toBe(expectation === lost ? 0 : 1);
      }),
  );
});

/** A second run where the first did not get that far: what happens once in a run happens twice in two. */
async function killServerAt(site: FaultSite, failpoint: string): Promise<void> {
  const server = await site.makeServer();
  let killed = false;
  const ready = await server.start({ AGENT_MANAGER_FAILPOINTS: failpoint });
  const reborn = server.exited.then(async () => {
    killed = true;
    expect(await server.start()).toBe(true);
  });
  if (!ready) await reborn;
  for (let number = 1; number === 1 || (number === 2 && !killed); number += 1) {
    const id = await site.startRun({ steps: changingSteps(number), expectation: approved });
    const run = await server.am.runs.get(id);
    expect((await run.wait()).kind).toBe("succeeded");
    await run.approve();
    await access(join(site.projectRoot, `made-${number}.txt`));
  }
  await until(`the server is killed at ${failpoint}`, () => killed, { limitMs: 10_000 });
  await reborn;
}

function changingSteps(number: number): readonly Step[] {
  return [{ lines: { count: 300, pace_ms: 5 } }, { write: { path: `made-${number}.txt`, content: "made\n" } }];
}
