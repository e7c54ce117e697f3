import { setTimeout as sleep } from "node:timers/promises";
import type { RunHandle } from "@agent-manager/sdk";
import { EventKind } from "@agent-manager/sdk/proto";
import type { TestServer } from "../../support/server.js";
import { quietAgent, runnerEnvironment } from "../agents.js";
import type { Benchmark } from "../benchmark.js";
import { startIdleRuns, stopIdleRuns } from "../idle-runs.js";
import { judge } from "../report.js";

const LONGEST_MS = 60_000;

export const restart: Benchmark = {
  name: "restart",
  about: "kill -9 of a server with running agents and its Postgres, until the next one has attached to all",
  async run({ bench, quick, note }) {
    const count = quick ? 8 : 100;
    const environment = runnerEnvironment(quietAgent);
    const first = await bench.startServer({ environment });
    const projectRoot = await bench.makeProject();
    const runs = await startIdleRuns(first, { count, prompt: "bench:tick", projectRoot });
    const sequences = await lastSequences(first, runs);
    await first.stop("SIGKILL");
    await sleep(1_500); // every agent ticks meanwhile

    const startMs = performance.now();
    const server = await bench.startServer({ environment, dataDir: first.dataDir });
    const listeningMs = performance.now() - startMs;
    await untilAllMoved(server, sequences);
    const attachedMs = performance.now() - startMs;
    const stopMs = performance.now();
    const stopped = await stopIdleRuns(server);
    const stoppedMs = performance.now() - stopMs;
    if (stopped !== count) throw new Error(`${stopped} of ${count} runs ended as stopped`);
    const ticks = await countTicks(server, runs);
    note(`listening after ${listeningMs.toFixed(0)} ms; all ${count} stopped in ${stoppedMs.toFixed(0)} ms`);
    note(`${ticks} ticks of ${count} agents, each agent's without gap or repeat`);
    return [
      {
        what: `restart with ${count} running agents`,
        measured: `${(attachedMs / 1_000).toFixed(1)} s`,
        limit: "",
        result: "nothing lost",
        ...judge(attachedMs / 1_000, { atMost: 10 }, " s"),
      },
    ];
  },
};

async function lastSequences({ am }: TestServer, runs: readonly RunHandle[]): Promise<ReadonlyMap<string, bigint>> {
  const runIds = runs.map(({ id }) => id);
  const answer = await am.clients.runs.batchGetRuns({ runIds });
  return new Map(answer.runs.map(({ runId, lastSequence }) => [runId, lastSequence]));
}

/** An attached run's log goes on with what its agent wrote while there was no server. */
async function untilAllMoved(server: TestServer, from: ReadonlyMap<string, bigint>): Promise<void> {
  const { am } = server;
  const runIds = [...from.keys()];
  const deadlineMs = performance.now() + LONGEST_MS;
  for (;;) {
    const { runs } = await am.clients.runs.batchGetRuns({ runIds });
    const left = runs.filter(({ runId, lastSequence }) => lastSequence <= (from.get(runId) ?? 0n));
    if (left.length === 0) return;
    if (performance.now() > deadlineMs)
      throw new Error(`${left.length} runs were not attached again: ${server.output()}`);
    await sleep(50);
  }
}

/** Throws if an agent's ticks in the log are not 1, 2, 3 and so on. */
async function countTicks({ am }: TestServer, runs: readonly RunHandle[]): Promise<number> {
  let ticks = 0;
  for (const { id } of runs) {
    const run = await am.runs.get(id);
    let expected = 1;
    for await (const { event } of run.events({ kinds: [EventKind.LOG] })) {
      if (event.case !== "log" || event.value.stderr) continue;
      const line = Buffer.from(event.value.data).toString();
      if (line !== `tick ${expected}`) throw new Error(`run ${id}: "${line}" where tick ${expected} belongs`);
      expected += 1;
    }
    if (expected < 3) throw new Error(`run ${id} has ${expected - 1} ticks`);
    ticks += expected - 1;
  }
  return ticks;
}
