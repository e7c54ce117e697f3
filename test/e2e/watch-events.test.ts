import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createAgentManager,
  isSettled,
  type RunEvent,
  type RunHandle,
  RunState,
  type WatchBookmark,
} from "@agent-manager/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCuttingProxy } from "../support/cutting-proxy.js";
import { projectMaker, script } from "../support/scripted-run.js";
import { makeFolder, startServer, type TestServer } from "../support/server.js";

let folder: Awaited<ReturnType<typeof makeFolder>>;
let server: TestServer;
const makeProject = projectMaker(() => folder.path);

beforeAll(async () => {
  folder = await makeFolder();
  server = await startServer({ dataDir: join(folder.path, "data") });
});

afterAll(async () => {
  await server.stop();
  await folder.remove();
});

async function startTalker(labels: Record<string, string>): Promise<RunHandle> {
  const prompt = script({ lines: { count: 300, delay_ms: 4 } });
  return server.am.runs.start({ task: { prompt, projectRoot: await makeProject() }, labels });
}

/** Until that many runs have settled. */
async function collect(watch: AsyncIterable<RunEvent>, runs: number): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  let settled = 0;
  for await (const event of watch) {
    events.push(event);
    if (event.event.case === "runStateChanged" && isSettled(event.event.value.to)) settled += 1;
    if (settled === runs) return events;
  }
  return events;
}

/** What the log holds, read without a watch, by position. */
async function readLog(runs: readonly RunHandle[], upTo: bigint): Promise<RunEvent[]> {
  const logs = runs.map(async ({ id: runId }) => {
    const { events } = await server.am.clients.events.listRunEvents({ runId, pageSize: 1_000 });
    return events;
  });
  const events = (await Promise.all(logs)).flat().filter(({ position }) => position <= upTo);
  return events.sort((a, b) => Number(a.position - b.position));
}

test("a watch of labelled runs delivers each event once and in order while a saboteur destroys its sockets", async () => {
  await using proxy = await startCuttingProxy(server.url);
  const am = createAgentManager({ url: proxy.url, token: server.token });
  let reconnects = 0;
  const watch = am.runs.watch({ labels: { suite: "sabotage" } }, { onReconnect: () => (reconnects += 1) });
  const collecting = collect(watch, 3);
  const saboteur = new AbortController();
  const sabotage = (async () => {
    while (!saboteur.signal.aborted) {
      await sleep(10 + Math.random() * 150);
      proxy.cut();
    }
  })();
  const runs = await Promise.all([1, 2, 3].map(() => startTalker({ suite: "sabotage" })));
  const other = await startTalker({ suite: "other" });
  const events = await collecting;
  saboteur.abort();
  await sabotage;
  am.close();
  expect(reconnects).toBeGreaterThan(5);
  expect(events).toEqual(await readLog(runs, events.at(-1)?.position ?? 0n));
  await other.wait();
});

test("a watch from a bookmark on gives exactly the rest, after a restart of the server too", async () => {
  const label = { suite: "bookmark" };
  const run = await startTalker(label);
  let bookmark: WatchBookmark = { logId: "", position: 0n };
  const before: RunEvent[] = [];
  for await (const event of server.am.runs.watch({ labels: label }, { onBookmark: (mark) => (bookmark = mark) })) {
    if (bookmark.position > 0n && before.length > 100) break;
    before.push(event);
  }
  await run.wait();
  await server.stop();
  server = await startServer({ dataDir: server.dataDir });
  const rest = await collect(server.am.runs.watch({ labels: label }, { after: bookmark }), 1);
  const handled = before.filter(({ position }) => position <= bookmark.position);
  const again = await server.am.runs.get(run.id);
  expect([...handled, ...rest]).toEqual(await readLog([again], rest.at(-1)?.position ?? 0n));
});

test("a selector with states is refused with what to do instead", async () => {
  const watch = server.am.runs.watch({ states: [RunState.RUNNING] });
  await expect(watch.next()).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  await expect(server.am.runs.watch({ states: [RunState.RUNNING] }).next()).rejects.toThrow("leave states out");
});

test("a bookmark of another log, or ahead of this one, is refused", async () => {
  const foreign = { logId: "00000000-0000-4000-8000-000000000000", position: 1n };
  await expect(server.am.runs.watch({}, { after: foreign }).next()).rejects.toMatchObject({ reason: "CURSOR_FOREIGN" });
  await expect(server.am.runs.watch({}, { after: 10n ** 12n }).next()).rejects.toMatchObject({
    reason: "CURSOR_AHEAD",
    metadata: { after_position: "1000000000000" },
  });
});
