import { describe, test } from "vitest";
import { createTestDatabase } from "../support/postgres.js";
import { sized } from "./support/chance.js";
import { type FaultSite, underFault } from "./support/fault-site.js";
import { isSpoolAppend } from "./support/guard-scenarios.js";
import { PostgresProxy } from "./support/postgres-proxy.js";

const passages = sized([1, 2, 3, 4, 5, 6], [1, 3]);

describe("a server killed", () => {
  test.each(passages)("before Postgres sees its append number %i appends the same again, once", (nth) =>
    killAtAppend(`append ${nth} unseen`, nth, "lose"),
  );

  test.each(passages)("between the commit and the answer of its append number %i does not append it again", (nth) =>
    killAtAppend(`append ${nth} unanswered`, nth, "loseAnswer"),
  );
});

async function killAtAppend(name: string, nth: number, verdict: "lose" | "loseAnswer"): Promise<void> {
  const database = await createTestDatabase();
  const proxy = await PostgresProxy.open(database.connection);
  try {
    await underFault({ name, database: { url: database.url } }, async (site) => {
      await site.startServer("a", { DATABASE_URL: proxy.url });
      const killed = killWhenAppending(site, proxy, { nth, verdict });
      await site.startRun({ steps: [{ lines: { count: 400, pace_ms: 50 } }] });
      await killed;
    });
  } finally {
    await proxy.close();
    await database.drop();
  }
}

/** Resolves when the server was killed and is back. It is stopped first, so that it sees nothing of what happens. */
function killWhenAppending(
  site: FaultSite,
  proxy: PostgresProxy,
  { nth, verdict }: { readonly nth: number; readonly verdict: "lose" | "loseAnswer" },
): Promise<void> {
  const [server] = site.servers;
  let appends = 0;
  return new Promise((resolve, reject) => {
    proxy.rule = (statement) => {
      if (!isSpoolAppend(statement)) return "pass";
      appends += 1;
      if (appends !== nth || !server) return "pass";
      server.pause();
      proxy
        .nextCut()
        .then(() => server.end())
        .then(() => server.start())
        .then(() => resolve(), reject);
      return verdict;
    };
  });
}
