import { setTimeout as sleep } from "node:timers/promises";
import type { RunEvent } from "@agent-manager/sdk/proto";
import { expect, test } from "vitest";
import { sized } from "./support/chance.js";
import { type FaultSite, underFault } from "./support/fault-site.js";
import { residentBytes } from "./support/processes.js";
import { checkDelivery } from "./support/watcher.js";

const PRODUCED_BYTES = sized(200, 20) * 1024 * 1024;
const STALL_MS = sized(120_000, 3_000);
const LINE_BYTES = 4_096;
/** Short runs are watched by many: whoever buffered for each of them would show. */
const WATCHERS = sized(3, 8);
/** Buffering would take PRODUCED_BYTES for each watcher; garbage that waits to be collected takes some. */
const LIMIT_BYTES = 110 * 1024 * 1024;

test(`watchers that stop reading while ${PRODUCED_BYTES >> 20} MB are produced cost the server bounded memory and then get all`, () =>
  underFault({ name: "stalled consumer" }, async (site) => {
    const server = await site.startServer();
    const unwatched = await peakDuring(server.pid, async () => {
      await site.startRun({ steps: floodSteps() });
      await site.settle(600_000);
    });
    const stalled: Stalled[] = [];
    const watched = await peakDuring(server.pid, async () => {
      const id = await site.startRun({ steps: floodSteps() });
      for (let count = 0; count < WATCHERS; count += 1) stalled.push(await openAndStall(site, id));
      await site.settle(600_000);
      await sleep(STALL_MS);
    });
    console.log(`peak memory: ${unwatched >> 20} MB unwatched, ${watched >> 20} MB with ${WATCHERS} stalled watchers`);
    expect(watched - unwatched).toBeLessThan(LIMIT_BYTES);
    for (const watcher of stalled) checkDelivery(await readRest(watcher), await site.events(watcher.runId));
  }));

function floodSteps() {
  return [{ lines: { count: PRODUCED_BYTES / LINE_BYTES, bytes: LINE_BYTES, every: 64 } }];
}

interface Stalled {
  readonly runId: string;
  readonly first: RunEvent | undefined;
  readonly rest: AsyncGenerator<RunEvent, void, void>;
}

/** A watcher with a connection of its own that takes one event and then nothing more. */
async function openAndStall(site: FaultSite, runId: string): Promise<Stalled> {
  const [server] = site.servers;
  if (!server) throw new Error("no server");
  const am = await server.connect(`http://127.0.0.1:${server.port}`);
  site.onRelease(async () => am.close());
  const rest = (await am.runs.get(runId)).events();
  const first = await rest.next();
  return { runId, first: first.done ? undefined : first.value, rest };
}

async function readRest({ first, rest }: Stalled): Promise<readonly number[]> {
  const sequences = [Number(first?.sequence)];
  for await (const { sequence } of rest) sequences.push(Number(sequence));
  return sequences;
}

async function peakDuring(pid: number, action: () => Promise<void>): Promise<number> {
  let peak = 0;
  let over = false;
  const sampling = (async () => {
    for (; !over; await sleep(50)) peak = Math.max(peak, await residentBytes(pid));
  })();
  await action();
  over = true;
  await sampling;
  return peak;
}
