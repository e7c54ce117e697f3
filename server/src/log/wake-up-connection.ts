import { randomUUID } from "node:crypto";
import type pg from "pg";
import type { Logger } from "pino";

const CHANNEL = "agent_manager_log";
/** Postgres takes 8,000 bytes. */
const MAX_NAMED_RUNS = 150;

export interface WakeUpConnectionOptions {
  readonly pool: pg.Pool;
  /** Called with the runs that another server appended to; none means that it did not say which. */
  readonly onNotified: (runIds: readonly string[]) => void;
  readonly log: Logger;
}

/** One connection that listens and notifies and does nothing else. A payload is the sender's id and run ids. */
export class WakeUpConnection {
  readonly #senderId = randomUUID();
  #usable = true;

  private constructor(
    readonly client: pg.PoolClient,
    readonly options: WakeUpConnectionOptions,
  ) {
    client.on("notification", ({ payload = "" }) => this.#receive(payload));
    for (const event of ["error", "end"] as const) client.on(event, () => this.close());
  }

  static async open(options: WakeUpConnectionOptions): Promise<WakeUpConnection> {
    const connection = new WakeUpConnection(await options.pool.connect(), options);
    try {
      // a notification that a crash takes away is not missed, so none waits for the disk
      await connection.client.query("set synchronous_commit = off");
      await connection.client.query(`listen ${CHANNEL}`);
    } catch (error) {
      connection.close();
      throw error;
    }
    return connection;
  }

  /** False once it broke or was closed. */
  get usable(): boolean {
    return this.#usable;
  }

  notify(runIds: readonly string[]): void {
    if (!this.#usable) return;
    const named = runIds.length > MAX_NAMED_RUNS ? [] : runIds;
    this.client
      .query("select pg_notify($1, $2)", [CHANNEL, [this.#senderId, ...named].join(" ")])
      .catch((error: unknown) => {
        this.options.log.debug({ err: error }, "other servers could not be notified");
        this.close();
      });
  }

  close(): void {
    if (!this.#usable) return;
    this.#usable = false;
    this.client.release(true); // it listens: nobody else may have it
  }

  #receive(payload: string): void {
    const [senderId, ...runIds] = payload.split(" ");
    if (this.#usable && senderId !== this.#senderId) this.options.onNotified(runIds);
  }
}
