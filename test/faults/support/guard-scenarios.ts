import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Db } from "../../../server/src/store/schema.js";
import { createTestDatabase } from "../../support/postgres.js";
import { lost } from "./expectation.js";
import { type FaultOptions, type FaultSite, underFault } from "./fault-site.js";
import { PostgresProxy, type Verdict } from "./postgres-proxy.js";
import { until } from "./processes.js";

/** What a scenario is run against: the product, or one with a guard missing. */
export interface Subject {
  readonly program?: string;
  readonly breakDatabase?: (db: Db) => Promise<void>;
}

/** The smallest test that must notice when a guard is missing. Throws PromiseBroken. */
export type Scenario = (subject: Subject) => Promise<void>;

/** Answers to appends are lost after the commit: the same events come again and must change nothing. */
export const answersLost: Scenario = (subject) =>
  throughProxies("answers to appends lost", subject, async (site, proxy) => {
    await site.startServer("a", { DATABASE_URL: proxy("a").url });
    let appends = 0;
    proxy("a").rule = (statement) => {
      if (!isSpoolAppend(statement)) return "pass";
      appends += 1;
      return appends % 3 === 2 ? "loseAnswer" : "pass";
    };
    await site.startRun({ steps: [{ lines: { count: 200, pace_ms: 30 } }] });
    await until("answers were lost", () => appends > 6);
  });

/**
 * An append is on its way when its server is paused; another server takes the run over; then the append arrives. It
 * is at the right offset, so only its epoch tells that it is too late.
 */
export const appendOfOldOwner: Scenario = (subject) =>
  throughProxies("append of an old owner", subject, async (site, proxy) => {
    const old = await site.startServer("a", { DATABASE_URL: proxy("a").url });
    const signals = ["first", "second"].map((name) => join(site.folder, name));
    const lines = { lines: { count: 50 } };
    const id = await site.startRun({ steps: [lines, ...signals.flatMap((path) => [{ wait_for: path }, lines])] });
    await until("the first lines are in the log", async () => (await site.events(id)) > 50);
    const late = holdSpoolAppends(proxy("a"));
    await writeFile(signals[0] ?? "", "");
    await late.arrived;
    old.pause();
    await writeFile(signals[1] ?? "", "");
    await until("the agent has written all", async () => (await site.ledgerOf(id)).lines.stdout.length === 150);
    const own = holdSpoolAppends(proxy("b"));
    await site.startServer("b", { DATABASE_URL: proxy("b").url });
    await own.arrived;
    late.release();
    await sleep(500); // for Postgres to have done it, or not
    own.release();
    await site.settle();
    old.resume();
    await sleep(500); // for it to do what it still wanted to
  });

/** Appends take their time: nothing may be built on one before it is done. */
export const slowAppends: Scenario = (subject) =>
  throughProxies("slow appends", subject, async (site, proxy) => {
    await site.startServer("a", { DATABASE_URL: proxy("a").url });
    proxy("a").rule = async (statement): Promise<Verdict> => {
      if (isSpoolAppend(statement)) await sleep(700);
      return "pass";
    };
    await site.startRun({ steps: [{ lines: { count: 100, pace_ms: 20 } }] });
    await site.settle();
    await sleep(1_500); // for appends that are still under way
  });

/** An agent leaves a process behind that is in no group and session of its, and ignores what it can. */
export const escapedProcess: Scenario = ({ program }) =>
  underFault({ name: "escaped process", ...(program && { program }) }, async (site) => {
    await site.startServer();
    await site.startRun({ steps: [{ orphan: { ignore_signals: true } }, { lines: { count: 20 } }] });
  });

/** The supervisor dies between the spawn of the agent and the record of it. */
export const unrecordedLaunch: Scenario = ({ program }) =>
  underFault({ name: "unrecorded launch", ...(program && { program }) }, async (site) => {
    await site.startServer("a", { AGENT_MANAGER_SUPERVISOR_FAILPOINTS: "supervisor.spawned:1:kill" });
    await site.startRun({ steps: [], expectation: lost });
  });

/** A server that has handed the prompt over dies; the next one cannot know and hands it over again. */
export const promptAgain: Scenario = ({ program }) =>
  underFault({ name: "prompt handed over again", ...(program && { program }) }, async (site) => {
    const server = await site.startServer();
    const over = join(site.folder, "over");
    const id = await site.startRun({ steps: [{ lines: { count: 20 } }, { wait_for: over }] });
    await until("the agent is at work", async () => (await site.ledgerOf(id)).lines.stdout.length === 20);
    await server.end();
    await server.start();
    await sleep(1_000); // for the next server to say everything again
    await writeFile(over, "");
  });

/** Makes a site whose servers reach their database each through a proxy of its own. */
async function throughProxies(
  name: string,
  { program, breakDatabase }: Subject,
  body: (site: FaultSite, proxy: (name: "a" | "b") => PostgresProxy) => Promise<void>,
): Promise<void> {
  const database = await createTestDatabase();
  const [a, b] = [await PostgresProxy.open(database.connection), await PostgresProxy.open(database.connection)];
  const options: FaultOptions = {
    name,
    database: { url: database.url },
    environment: { AGENT_MANAGER_LEASE_TTL_MS: "1500", AGENT_MANAGER_HOST_LOST_MS: "600000" },
    ...(program && { program }),
  };
  try {
    await breakDatabase?.(database.db);
    await underFault(options, (site) => body(site, (which) => (which === "a" ? a : b)));
  } finally {
    await Promise.all([a.close(), b.close()]);
    await database.drop();
  }
}

/** Lets nothing of what agents wrote through until it is released. */
function holdSpoolAppends(proxy: PostgresProxy): { readonly arrived: Promise<void>; release(): void } {
  let release = () => {};
  const released = new Promise<Verdict>((resolve) => {
    release = () => resolve("pass");
  });
  const arrived = new Promise<void>((resolve) => {
    proxy.rule = (statement) => {
      if (!isSpoolAppend(statement)) return "pass";
      resolve();
      return released;
    };
  });
  return { arrived, release: () => release() };
}

/** True for the append of what agents wrote; changes of a run append their own events in the same statement. */
export function isSpoolAppend(statement: string): boolean {
  return statement.includes("append_events(") && !statement.includes("changed");
}
