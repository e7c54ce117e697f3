import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunHandle } from "@agent-manager/sdk";
import { quietAgent, runnerEnvironment } from "../agents.js";
import type { Benchmark } from "../benchmark.js";
import { startIdleRuns, stopIdleRuns } from "../idle-runs.js";
import { type ProcessMemory, readMemory } from "../process-memory.js";
import { judge, megabytes, spread } from "../report.js";
import { sampleOf } from "../statistics.js";

export const memory: Benchmark = {
  name: "memory",
  about: "what one more running agent costs: the server's growth and the run's supervisor",
  async run({ bench, quick, note }) {
    const database = await bench.openDatabase();
    const environment = { DATABASE_URL: database.url, ...runnerEnvironment(quietAgent) };
    const server = await bench.startServer({ environment });
    const projectRoot = await bench.makeProject();
    const count = quick ? 6 : 50;
    // the first runs make the server load and compile what all share
    await startIdleRuns(server, { count: quick ? 2 : 10, prompt: "wait", projectRoot });
    const before = await settledMemory(server.pid);
    const runs = await startIdleRuns(server, { count, prompt: "wait", projectRoot });
    const after = await settledMemory(server.pid);
    const supervisors = await Promise.all(runs.map((run) => supervisorMemory(server.dataDir, run)));
    await stopIdleRuns(server);
    const own = sampleOf(supervisors.map(({ privateBytes }) => privateBytes));
    const resident = sampleOf(supervisors.map(({ residentBytes }) => residentBytes));
    const growth = (after.privateBytes - before.privateBytes) / count;
    const perRun = growth + own.median;
    note(
      `${count} idle agents; server ${megabytes(before.privateBytes)} private before, ${megabytes(after.privateBytes)} after`,
    );
    note(`a supervisor: ${spread(own, megabytes)} private, ${spread(resident, megabytes)} resident`);
    return [
      {
        what: "memory per running agent, private",
        measured: `server ${megabytes(growth)} + supervisor ${spread(own, megabytes)}`,
        limit: "",
        result: megabytes(perRun),
        ...judge(perRun / 1e6, { atMost: 10 }, " MB"),
      },
    ];
  },
};

/** Young garbage goes by itself; the lowest of some moments is what is kept. */
async function settledMemory(pid: number): Promise<ProcessMemory> {
  let lowest = await readMemory(pid);
  for (let look = 0; look < 4; look += 1) {
    await sleep(250);
    const now = await readMemory(pid);
    if (now.privateBytes < lowest.privateBytes) lowest = now;
  }
  return lowest;
}

async function supervisorMemory(dataDir: string, run: RunHandle): Promise<ProcessMemory> {
  const state = JSON.parse(await readFile(join(dataDir, "runs", run.id, "state.json"), "utf8"));
  return readMemory(state.supervisor.pid);
}
