import { spawn } from "node:child_process";
import { once } from "node:events";
import type { RunEvent } from "@agent-manager/sdk/proto";
import { quietAgent, runnerEnvironment } from "../agents.js";
import type { Benchmark } from "../benchmark.js";
import { judge, milliseconds, spread } from "../report.js";
import { compare, quantile } from "../statistics.js";

export const runStart: Benchmark = {
  name: "run-start",
  about: "from CreateRun to the agent's first line in a subscriber's hands, against spawning the same program bare",
  async run({ bench, quick, note }) {
    const database = await bench.openDatabase();
    const environment = { DATABASE_URL: database.url, ...runnerEnvironment(quietAgent) };
    const { am } = await bench.startServer({ environment });
    const projectRoot = await bench.makeProject();
    const phases: Phase[][] = [];
    const startRun = async () => {
      const start = performance.now();
      const startWallMs = Date.now();
      const run = await am.runs.start({ task: { prompt: "wait", projectRoot } });
      const seen: Phase[] = [{ name: "CreateRun answered", atMs: performance.now() - start }];
      let firstLineMs = 0;
      for await (const event of run.events()) {
        seen.push({ name: phaseOf(event), atMs: occurMs(event) - startWallMs });
        if (event.event.case !== "sessionBound") continue;
        firstLineMs = performance.now() - start;
        break;
      }
      phases.push([...seen, { name: "received", atMs: firstLineMs }]);
      await run.stop();
      await run.wait();
      return firstLineMs;
    };
    const { measured, limit } = await compare({ rounds: quick ? 3 : 20, measure: startRun, limit: spawnBare });
    const added = measured.median - limit.median;
    note(`a run's way: ${describePhases(phases.slice(1))}`);
    return [
      {
        what: "run start to first line",
        measured: spread(measured, milliseconds),
        limit: `bare spawn ${spread(limit, milliseconds)}`,
        result: `+${milliseconds(added)}`,
        ...judge(added, { atMost: 150 }, " ms more"),
      },
    ];
  },
};

interface Phase {
  readonly name: string;
  readonly atMs: number;
}

async function spawnBare(): Promise<number> {
  const start = performance.now();
  const child = spawn(quietAgent, [], { stdio: ["pipe", "pipe", "ignore"] });
  await once(child.stdout, "data");
  const firstLineMs = performance.now() - start;
  child.stdin.end();
  await once(child, "exit");
  return firstLineMs;
}

function phaseOf({ event }: RunEvent): string {
  return event.case === "runStateChanged" ? `state ${event.value.to}` : (event.case ?? "unknown");
}

function occurMs({ occurTime }: RunEvent): number {
  return Number(occurTime?.seconds ?? 0n) * 1_000 + (occurTime?.nanos ?? 0) / 1e6;
}

/** The median moment of each phase. */
function describePhases(runs: readonly (readonly Phase[])[]): string {
  const names = [...new Set(runs.flatMap((run) => run.map(({ name }) => name)))];
  const moments = names.map((name) => {
    const times = runs.flatMap((run) => run.filter((phase) => phase.name === name).map(({ atMs }) => atMs));
    return { name, atMs: quantile(times, 0.5) };
  });
  return moments.map(({ name, atMs }) => `${name} ${atMs.toFixed(0)}`).join(", ");
}
