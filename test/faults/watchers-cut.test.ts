import { expect, test } from "vitest";
import { sized } from "./support/chance.js";
import type { FaultServer } from "./support/fault-server.js";
import { type FaultSite, underFault } from "./support/fault-site.js";
import { TcpProxy } from "./support/tcp-proxy.js";
import { checkDelivery, watchRun } from "./support/watcher.js";

const EVENTS = sized(150, 30);
const WATCHERS = sized(12, 4);

test("a watcher whose socket is cut at every event gets each event once", () =>
  underFault({ name: "cut at every event" }, async (site) => {
    const server = await site.startServer();
    const id = await site.startRun({ steps: [{ lines: { count: EVENTS, every: 1, pace_ms: 50 } }] });
    const { proxy, am } = await openProxy(site, server);
    const sequences = await watchRun(am, id, () => proxy.cutAll());
    checkDelivery(sequences, await site.events(id));
    expect(proxy.connections).toBeGreaterThan(EVENTS / 4); // of those sent together the first one cuts for all
  }));

test("watchers whose sockets are cut after any number of bytes, within a frame or between two, get each event once", () =>
  underFault({ name: "cut at any byte" }, async (site) => {
    const server = await site.startServer();
    const steps = [{ lines: { count: sized(4_000, 800), every: 4, pace_ms: sized(5, 10) } }];
    const id = await site.startRun({ steps });
    const watchers = Array.from({ length: WATCHERS }, async () => {
      const { proxy, am } = await openProxy(site, server);
      // now and then enough for a whole page of stored events, without which nobody gets on who is far behind
      proxy.budgetBytes = () => (site.chance.happens(0.85) ? site.chance.between(300, 4_000) : 600_000);
      const sequences = await watchRun(am, id);
      checkDelivery(sequences, await site.events(id));
      return proxy.connections;
    });
    const connections = await Promise.all(watchers);
    expect(Math.max(...connections)).toBeGreaterThan(1);
  }));

async function openProxy(site: FaultSite, server: FaultServer) {
  const proxy = await TcpProxy.open(server.port);
  const am = await server.connect(proxy.url);
  site.onRelease(async () => {
    am.close();
    await proxy.close();
  });
  return { proxy, am };
}
