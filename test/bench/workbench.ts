import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "../../server/src/database/pool.js";
import { newId } from "../../server/src/domain/ids.js";
import { readSpec, runFolder } from "../../server/src/execution/run-folder.js";
import { NONCE_VARIABLE } from "../../server/src/execution/supervisor/agent-process.js";
import { findProcessesByVariable, signalProcess } from "../../server/src/execution/supervisor/processes.js";
import type { Database } from "../../server/src/store/schema.js";
import { urlOf } from "../support/postgres.js";
import { silent, startTestCluster, TEMPLATE, type TestCluster } from "../support/postgres-cluster.js";
import { makeRepository, startServer, type TestServer, type TestServerOptions } from "../support/server.js";

export type BenchDatabase = Awaited<ReturnType<Workbench["openDatabase"]>>;

/** The Postgres of all benchmarks, started when the first asks for it. */
export class BenchCluster {
  #started: Promise<TestCluster> | undefined;

  async connection(): Promise<TestCluster["connection"]> {
    this.#started ??= startTestCluster();
    return (await this.#started).connection;
  }

  async stop(): Promise<void> {
    await (await this.#started)?.stop();
  }
}

/** What one benchmark works on: databases, servers, folders, and everything that has to be taken away again. */
export class Workbench {
  readonly #cleanUp: (() => Promise<unknown>)[] = [];
  #closed: Promise<void> | undefined;
  #projects = 0;

  private constructor(
    readonly folder: string,
    readonly cluster: BenchCluster,
  ) {
    this.onClose(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  }

  static async open(cluster: BenchCluster): Promise<Workbench> {
    return new Workbench(await mkdtemp(join(tmpdir(), "am-bench-")), cluster);
  }

  /** Done at the end, the latest first. */
  onClose(step: () => Promise<unknown>): void {
    this.#cleanUp.push(step);
  }

  /** A fresh database with the current schema. */
  async openDatabase() {
    const connection = await this.cluster.connection();
    const name = `bench_${newId().replaceAll("-", "")}`;
    await this.#administer(`create database ${name} template ${TEMPLATE}`);
    this.onClose(() => this.#administer(`drop database ${name} with (force)`));
    const url = urlOf({ ...connection, database: name });
    // loads and COPYs of a million rows take longer than what the server allows itself
    const opened = await openDatabase<Database>({ url: `${url}&statement_timeout=0`, log: silent });
    this.onClose(() => opened.close());
    return { ...opened, url };
  }

  /** The real server in a process of its own. */
  async startServer(options: Partial<TestServerOptions> = {}): Promise<TestServer> {
    const dataDir = options.dataDir ?? (await mkdtemp(join(this.folder, "data-")));
    const server = await startServer({ ...options, dataDir });
    this.onClose(async () => {
      await server.stop();
      await endAgents(dataDir);
    });
    return server;
  }

  /** A git repository with a few files. */
  makeProject(): Promise<string> {
    this.#projects += 1;
    const files = { "a.txt": "one\ntwo\n", "src/b.txt": "b\n", "README.md": "# A project\n" };
    return makeRepository(join(this.folder, `project-${this.#projects}`), files);
  }

  /** Safe to call again, as when a signal comes while it runs. */
  close(): Promise<void> {
    this.#closed ??= this.#closeAll();
    return this.#closed;
  }

  async #closeAll(): Promise<void> {
    for (const step of this.#cleanUp.reverse()) await step().catch((error: unknown) => console.error(error));
  }

  async #administer(statement: string): Promise<void> {
    const { pool, close } = await openDatabase({ connection: await this.cluster.connection(), log: silent });
    await pool.query(statement).finally(close);
  }
}

/** Agents outlive their server; a benchmark that failed or was interrupted must not leave them behind. */
async function endAgents(dataDir: string): Promise<void> {
  const runs = join(dataDir, "runs");
  for (const name of await readdir(runs).catch(() => [])) {
    const spec = await readSpec(runFolder(dataDir, name));
    if (spec === undefined) continue;
    for (const left of findProcessesByVariable(NONCE_VARIABLE, spec.nonce)) signalProcess(left, "SIGKILL");
  }
}
