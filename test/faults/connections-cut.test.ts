import { expect, test } from "vitest";
import { createTestDatabase } from "../support/postgres.js";
import { sized } from "./support/chance.js";
import { underFault } from "./support/fault-site.js";
import { PostgresProxy } from "./support/postgres-proxy.js";

const AGENTS = sized(20, 5);
const LINES = sized(2_000, 400);

test("connections cut in the middle of 1 in 20 statements, before or after the commit, lose and repeat nothing", async () => {
  const database = await createTestDatabase();
  const proxy = await PostgresProxy.open(database.connection);
  try {
    await underFault({ name: "connections cut", database: { url: database.url } }, async (site) => {
      await site.startServer("a", { DATABASE_URL: proxy.url });
      let cuts = 0;
      proxy.rule = () => {
        if (!site.chance.happens(0.05)) return "pass";
        cuts += 1;
        return site.chance.pick(["lose", "loseAnswer", { cutAfterMs: site.chance.between(0, 6) }] as const);
      };
      await site.startRuns(AGENTS, () => ({ steps: [{ lines: { count: LINES, every: 10, pace_ms: 20 } }] }));
      await site.settle();
      proxy.rule = () => "pass";
      expect(cuts).toBeGreaterThan(sized(40, 3));
    });
  } finally {
    await proxy.close();
    await database.drop();
  }
});
