import { RunEventService } from "@agent-manager/sdk/proto";
import { openDatabase } from "../../../server/src/database/pool.js";
import { LogHub } from "../../../server/src/log/log-hub.js";
import { createAuthenticator, sha256 } from "../../../server/src/security/principals.js";
import { createRunEventService } from "../../../server/src/services/run-event-service.js";
import { readRunEvents, type StoredEvent } from "../../../server/src/store/run-events.js";
import type { Database } from "../../../server/src/store/schema.js";
import { createListener } from "../../../server/src/transport/listener.js";
import { silent } from "../../support/postgres-cluster.js";
import { serveParent } from "../child.js";

export type EventServerRequest =
  | { readonly kind: "listen"; readonly databaseUrl: string; readonly token: string }
  /** Reads the run's stored events, which its watchers have not seen, and starts to count CPU time. */
  | { readonly kind: "load"; readonly runId: string }
  /** Publishes those up to this sequence, as the appends of a busy run do. */
  | { readonly kind: "publish"; readonly upTo: number };

/** The CPU time since the events were loaded. */
export interface PublishAnswer {
  readonly cpuSeconds: number;
}

const BATCH_EVENTS = 64;

const hub = new LogHub();
let database: Awaited<ReturnType<typeof openDatabase<Database>>>;

let stored: readonly StoredEvent[] = [];
let published = 0;
let cpu = process.cpuUsage();

serveParent(async (request: EventServerRequest) => {
  switch (request.kind) {
    case "listen":
      return listen(request.databaseUrl, request.token);
    case "load":
      stored = await readAll(request.runId);
      published = 0;
      cpu = process.cpuUsage();
      return {};
    case "publish":
      return publish(request.upTo);
    default:
      return request satisfies never;
  }
});

/** The watch as the real server offers it: same listener, same service, same hub. */
async function listen(databaseUrl: string, token: string): Promise<{ readonly url: string }> {
  database = await openDatabase<Database>({ url: databaseUrl, log: silent });
  const credential = { principal: { name: "bench", role: "admin" as const }, sha256: sha256(token) };
  const listener = createListener({
    routes: (router) => router.service(RunEventService, createRunEventService({ db: database.db, hub })),
    authenticator: createAuthenticator([credential]),
    log: silent,
  });
  return listener.listen({ host: "127.0.0.1", port: 0 });
}

async function publish(upTo: number): Promise<PublishAnswer> {
  while (published < Math.min(upTo, stored.length)) {
    const batch = stored.slice(published, published + BATCH_EVENTS);
    hub.publish(batch[0]?.runId ?? "", batch);
    published += batch.length;
    await new Promise(setImmediate); // as between two appends, watchers get their turn
  }
  const used = process.cpuUsage(cpu);
  return { cpuSeconds: (used.user + used.system) / 1e6 };
}

async function readAll(runId: string): Promise<readonly StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (;;) {
    const afterSequence = all.at(-1)?.sequence ?? 0n;
    const events = await readRunEvents(database.db, { runId, afterSequence, kinds: [], limit: 5_000 });
    if (events.length === 0) return all;
    all.push(...events);
  }
}
