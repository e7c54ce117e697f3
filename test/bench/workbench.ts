import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "../../server/src/database/pool.js";
import { newId } from "../../server/src/domain/ids.js";
import type { Database } from "../../server/src/store/schema.js";
import { urlOf } from "../support/postgres.js";
import { silent, startTestCluster, TEMPLATE } from "../support/postgres-cluster.js";
import { makeRepository, startServer, type TestServer, type TestServerOptions } from "../support/server.js";

export type BenchDatabase = Awaited<ReturnType<Workbench["openDatabase"]>>;

/** What the benchmarks work on: one Postgres, one folder, and everything that has to be taken away again. */
export class Workbench {
  readonly #cleanUp: (() => Promise<unknown>)[] = [];
  #cluster: Promise<Awaited<ReturnType<typeof startTestCluster>>> | undefined;
  #projects = 0;

  private constructor(readonly folder: string) {
    this.onClose(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  }

  static async open(): Promise<Workbench> {
    return new Workbench(await mkdtemp(join(tmpdir(), "am-bench-")));
  }

  /** Done at the end, the latest first. */
  onClose(step: () => Promise<unknown>): void {
    this.#cleanUp.push(step);
  }

  /** A fresh database with the current schema. */
  async openDatabase() {
    const { connection } = await this.#startCluster();
    const name = `bench_${newId().replaceAll("-", "")}`;
    const maintenance = await openDatabase({ connection, log: silent });
    await maintenance.pool.query(`create database ${name} template ${TEMPLATE}`);
    await maintenance.close();
    const own = { ...connection, database: name };
    const opened = await openDatabase<Database>({ connection: own, log: silent });
    // loads and COPYs of a million rows take longer than what the server allows itself
    opened.pool.on("connect", (client) => void client.query("set statement_timeout = 0").catch(() => {}));
    this.onClose(() => opened.close());
    return { ...opened, url: urlOf(own) };
  }

  /** The real server in a process of its own. */
  async startServer(options: Partial<TestServerOptions> = {}): Promise<TestServer> {
    const dataDir = options.dataDir ?? (await mkdtemp(join(this.folder, "data-")));
    const server = await startServer({ ...options, dataDir });
    this.onClose(() => server.stop());
    return server;
  }

  /** A git repository with a few files. */
  makeProject(): Promise<string> {
    this.#projects += 1;
    const files = { "a.txt": "one\ntwo\n", "src/b.txt": "b\n", "README.md": "# A project\n" };
    return makeRepository(join(this.folder, `project-${this.#projects}`), files);
  }

  async close(): Promise<void> {
    for (const step of this.#cleanUp.splice(0).reverse()) await step().catch((error: unknown) => console.error(error));
  }

  #startCluster() {
    if (!this.#cluster) {
      this.#cluster = startTestCluster();
      this.onClose(async () => (await this.#cluster)?.stop());
    }
    return this.#cluster;
  }
}
