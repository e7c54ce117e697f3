import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EventKind, RunState } from "@agent-manager/sdk/proto";
import { sql } from "kysely";
import { afterAll, beforeAll } from "vitest";
import { type OpenDatabase, openDatabase } from "../../../server/src/database/pool.js";
import { newId } from "../../../server/src/domain/ids.js";
import type { Database, Db } from "../../../server/src/store/schema.js";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.js";
import { silent } from "../../support/postgres-cluster.js";
import { makeRepository } from "../../support/server.js";
import { Chance } from "./chance.js";
import { complete, type Expectation } from "./expectation.js";
import { FaultServer } from "./fault-server.js";
import { type Ledger, readLedger } from "./ledger.js";
import { type ExpectedRun, judge, judgeLeftovers } from "./oracle.js";
import { findByEnvironment, findByFolder, findMounts, until } from "./processes.js";
import { plainServer } from "./server-copy.js";

const agent = fileURLToPath(new URL("../../fixtures/agents/ledger-agent.mjs", import.meta.url));

// Kept for as long as the file's tests run, so that they share one Postgres, which no other file's servers fill up.
let shared: TestDatabase | undefined;

beforeAll(async () => {
  shared = await createTestDatabase();
});

afterAll(() => shared?.drop());

/** A step of the ledger agent; see test/fixtures/agents/ledger-agent.mjs. */
export type Step = Readonly<Record<string, unknown>>;

export interface FaultOptions {
  readonly name: string;
  /** The server to test. Default: the built one. */
  readonly program?: string;
  /** Where the log is. Default: a database of its own in the tests' Postgres; "embedded" is the server's own. */
  readonly database?: "shared" | "embedded" | { readonly url: string };
  /** Variables of every server. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Let the agents keep a copy of every byte that they print. */
  readonly copies?: boolean;
}

export interface RunRequest {
  readonly steps: readonly Step[];
  readonly expectation?: Expectation;
  readonly via?: FaultServer;
  /** Variables of the server that the agent and its supervisor get. */
  readonly variables?: readonly string[];
}

/**
 * Makes a place for a test, lets it do its worst, and judges with the one oracle: when every run has settled, and
 * once more when every server has gone. Throws PromiseBroken, or whatever kept the test from getting that far.
 */
export async function underFault(options: FaultOptions, body: (site: FaultSite) => Promise<void>): Promise<void> {
  const site = await FaultSite.open(options);
  try {
    await body(site);
    await site.judge();
    await site.endServers();
    await site.release();
    await judgeLeftovers(site.folder, await site.temporaryFiles());
  } catch (error) {
    if (process.env.FAULT_VERBOSE) for (const { output } of site.servers) console.log(output);
    throw error;
  } finally {
    await site.remove();
  }
}

/** Servers, runs and files of one test. */
export class FaultSite {
  readonly chance: Chance;
  readonly servers: FaultServer[] = [];
  readonly runs: ExpectedRun[] = [];
  readonly #cleanUp: (() => Promise<unknown>)[] = [];
  #database: { readonly db: Db; readonly url: string } | undefined;

  private constructor(
    readonly options: FaultOptions,
    readonly folder: string,
  ) {
    this.chance = new Chance(options.name);
  }

  static async open(options: FaultOptions): Promise<FaultSite> {
    const site = new FaultSite(options, await mkdtemp(join(tmpdir(), "am-fault-")));
    for (const name of ["tmp", "ledgers"]) await mkdir(join(site.folder, name));
    await makeRepository(site.projectRoot, { "a.txt": "a\n" });
    const { database = "shared" } = options;
    if (database === "shared") await site.#useOwnDatabase();
    else if (database !== "embedded") await site.#useDatabase(database.url);
    return site;
  }

  get projectRoot(): string {
    return join(this.folder, "project");
  }

  get ledgers(): string {
    return join(this.folder, "ledgers");
  }

  get db(): Db {
    if (!this.#database) throw new Error("the embedded database is there once its server is");
    return this.#database.db;
  }

  get databaseUrl(): string {
    return this.#database?.url ?? "";
  }

  /** Done when every server has gone, the latest first, whatever happens. */
  onRelease(step: () => Promise<unknown>): void {
    this.#cleanUp.push(step);
  }

  /** Starts a server with a data directory of its own. */
  async startServer(name = "a", environment: Readonly<Record<string, string>> = {}): Promise<FaultServer> {
    const server = await this.makeServer(name, environment);
    if (!(await server.start())) throw new Error(`the server did not start: ${server.output}`);
    if (this.options.database === "embedded") await this.#useEmbedded(server);
    return server;
  }

  /** The same, not started yet. */
  async makeServer(name = "a", environment: Readonly<Record<string, string>> = {}): Promise<FaultServer> {
    const server = await FaultServer.create({
      dataDir: join(this.folder, name),
      program: this.options.program ?? (await plainServer()),
      environment: { ...this.#environment(), ...environment },
    });
    this.servers.push(server);
    return server;
  }

  /** Starts a run, also across deaths of the server, and notes how it is to end. */
  async startRun({ steps, expectation = complete, via, variables = [] }: RunRequest): Promise<string> {
    const server = via ?? this.servers[0];
    if (!server) throw new Error("no server to start a run with");
    const run = await server.am.runs.start({
      task: { prompt: JSON.stringify({ ledger_agent: steps }), projectRoot: this.projectRoot },
      config: { environment: { values: [...variables] } },
      requestId: newId(),
    });
    this.runs.push({ id: run.id, expectation });
    return run.id;
  }

  startRuns(count: number, request: (index: number) => RunRequest): Promise<readonly string[]> {
    return Promise.all(Array.from({ length: count }, (_, index) => this.startRun(request(index))));
  }

  /** How many events a run has in the log. */
  async events(runId: string): Promise<number> {
    const row = await this.db
      .selectFrom("run_log")
      .select("last_sequence")
      .where("run_id", "=", runId)
      .executeTakeFirstOrThrow();
    return Number(row.last_sequence);
  }

  ledgerOf(runId: string): Promise<Ledger> {
    return readLedger(this.ledgers, runId);
  }

  /** Waits until no run has anything more to come. */
  async settle(limitMs = 180_000): Promise<void> {
    let open: readonly { run_id: string; state: number }[] = [];
    const settled = async () => {
      open = await this.#openRuns();
      return open.length === 0;
    };
    await until("every run has settled", settled, { limitMs, pauseMs: 100 }).catch((error: unknown) => {
      const states = open.map(({ run_id, state }) => `${run_id} is ${RunState[state]}`).join(", ");
      const outputs = this.servers.map(({ output }) => output.slice(-3_000)).join("\n---\n");
      throw new Error(`${error instanceof Error ? error.message : error}: ${states}\n${outputs}`);
    });
  }

  async judge(): Promise<void> {
    await this.settle();
    await judge({ db: this.db, runs: this.runs, ledgers: this.ledgers });
  }

  async endServers(): Promise<void> {
    for (const server of this.servers) await server.close();
  }

  /** How often another server took a run over. */
  async ownerChanges(): Promise<number> {
    const { rows } = await sql<{ count: bigint }>`
      select count(*) from run_event
      where kind = ${EventKind.WARNING} and position(convert_to('owner_changed', 'UTF8') in event) > 0`.execute(
      this.db,
    );
    return Number(rows[0]?.count);
  }

  async temporaryFiles(): Promise<readonly string[]> {
    return readdir(join(this.folder, "tmp"));
  }

  async release(): Promise<void> {
    for (const step of this.#cleanUp.splice(0).reverse()) await step().catch((error: unknown) => console.error(error));
  }

  async remove(): Promise<void> {
    for (const server of this.servers) await server.retire();
    await killLeftovers(this.folder, this.runs); // before the release: they would hold mounts
    await this.release();
    await killLeftovers(this.folder, this.runs);
    if ((await findMounts(this.folder)).length > 0) throw new Error(`still mounted below ${this.folder}`);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #environment(): Record<string, string> {
    const command = [process.execPath, agent, "--ledgers", this.ledgers, ...(this.options.copies ? ["--copies"] : [])];
    return {
      PATH: process.env.PATH ?? "",
      HOME: "/nonexistent",
      TMPDIR: join(this.folder, "tmp"),
      AGENT_MANAGER_LOG_LEVEL: "warn",
      AGENT_MANAGER_MAX_ACTIVE_RUNS: "64",
      AGENT_MANAGER_STOP_GRACE_MS: "1000",
      // that agents can read it is a warning of each run, which must not come twice
      ANTHROPIC_API_KEY: "no-key-of-anybody",
      AGENT_MANAGER_RUNNER_CLAUDE_CODE_COMMAND: JSON.stringify(command),
      ...(this.#database && { DATABASE_URL: this.#database.url }),
      ...this.options.environment,
    };
  }

  async #useOwnDatabase(): Promise<void> {
    const { db, url, drop } = await createTestDatabase();
    this.onRelease(drop);
    this.#database = { db, url };
  }

  async #useDatabase(url: string): Promise<void> {
    this.#keep(await openDatabase<Database>({ url, log: silent }), url);
  }

  async #useEmbedded({ dataDir }: FaultServer): Promise<void> {
    const connection = { host: join(dataDir, "pg"), user: "agent_manager", database: "postgres" };
    this.#keep(await openDatabase<Database>({ connection, log: silent }), "");
  }

  #keep({ db, close }: OpenDatabase<Database>, url: string): void {
    this.onRelease(close);
    this.#database = { db, url };
  }

  /** While the database is away nothing is known to have settled. */
  async #openRuns(): Promise<readonly { run_id: string; state: number }[]> {
    const over = [RunState.NEEDS_REVIEW, RunState.COMPLETED, RunState.REJECTED, RunState.FAILED, RunState.CANCELLED];
    const query = this.db.selectFrom("run").select(["run_id", "state"]).where("state", "not in", over).execute();
    return query.catch((error: unknown) => [{ run_id: String(error), state: RunState.UNSPECIFIED }]);
  }
}

/** A failed test must not leave anything to the next one. */
async function killLeftovers(folder: string, runs: readonly ExpectedRun[]): Promise<void> {
  const entries = new Set(runs.map(({ id }) => `AGENT_MANAGER_RUN_ID=${id}`));
  for (let round = 0; round < 10; round += 1) {
    const pids = [...(await findByEnvironment(entries)), ...(await findByFolder(folder))];
    if (pids.length === 0) return;
    for (const pid of new Set(pids)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // it has just ended
      }
    }
  }
}
