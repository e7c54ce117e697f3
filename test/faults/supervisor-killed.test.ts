import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "vitest";
import { sized } from "./support/chance.js";
import { lost } from "./support/expectation.js";
import { underFault } from "./support/fault-site.js";
import { findByEnvironment } from "./support/processes.js";

const AGENTS = sized(20, 6);

// The last step never ends: whenever the supervisor is killed, the agent is at work.
const steps = [{ orphan: { ignore_signals: true } }, { lines: { count: 2_000, pace_ms: 20 } }, { wait_for: "/never" }];

test(`${AGENTS} supervisors killed at random moments: each run is lost, keeps what it wrote and leaves no process`, () =>
  underFault({ name: "supervisor killed" }, async (site) => {
    await site.startServer();
    const ids = await site.startRuns(AGENTS, () => ({ steps, expectation: lost }));
    await Promise.all(ids.map((id) => killSupervisor(id, site.chance.between(0, 3_000))));
  }));

test("supervisors killed while the server is down are found dead by the next one", () =>
  underFault({ name: "supervisor and server killed" }, async (site) => {
    const server = await site.startServer();
    const ids = await site.startRuns(4, () => ({ steps, expectation: lost }));
    for (const id of ids) while ((await site.events(id)) < 20) await sleep(20);
    await server.end();
    await Promise.all(ids.map((id) => killSupervisor(id, site.chance.between(0, 300))));
    await server.start();
  }));

/** Before it has written its state it is found by its environment, as the server finds it. */
async function killSupervisor(runId: string, delayMs: number): Promise<void> {
  for (;;) {
    const pid = await findSupervisor(runId);
    if (pid === undefined) {
      await sleep(10);
      continue;
    }
    await sleep(delayMs);
    process.kill(pid, "SIGKILL");
    return;
  }
}

async function findSupervisor(runId: string): Promise<number | undefined> {
  for (const pid of await findByEnvironment(new Set([`AGENT_MANAGER_RUN_ID=${runId}`]))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
    if (command.includes(join("a", "runs", runId)) || command.startsWith("agent-manager-supervisor")) return pid;
  }
  return undefined;
}
