import { mkdtemp, rm } from "node:fs/promises";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { urlOf } from "../../support/postgres.js";
import { FrontendMessages } from "./frontend-messages.js";

const SOCKET_NAME = ".s.PGSQL.5432";

/** What the proxy does with one statement. */
export type Verdict =
  | "pass"
  /** The connection breaks and Postgres never sees the statement. */
  | "lose"
  /** Postgres does it, and the connection breaks before the answer is through. */
  | "loseAnswer"
  /** The connection breaks so long after the statement was forwarded. */
  | { readonly cutAfterMs: number };

export type Rule = (statement: string) => Verdict | Promise<Verdict>;

/** A Postgres behind a socket that can be made to fail between any statement and its answer. */
export class PostgresProxy {
  /** Decides about each statement; it may wait. */
  rule: Rule = () => "pass";
  readonly #sockets = new Set<Socket>();
  #cutWaiters: (() => void)[] = [];
  readonly #server: Server;

  private constructor(
    readonly folder: string,
    readonly target: { readonly host: string; readonly user: string; readonly database: string },
  ) {
    this.#server = createServer((client) => void this.#serve(client));
  }

  static async open(target: PostgresProxy["target"]): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(await mkdtemp(join(tmpdir(), "am-proxy-")), target);
    await new Promise<void>((resolve) => proxy.#server.listen(join(proxy.folder, SOCKET_NAME), resolve));
    return proxy;
  }

  /** For DATABASE_URL. */
  get url(): string {
    return urlOf({ ...this.target, host: this.folder });
  }

  /** Resolves when the next connection was broken by a rule. */
  nextCut(): Promise<void> {
    return new Promise((resolve) => this.#cutWaiters.push(resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.folder, { recursive: true, force: true });
  }

  async #serve(client: Socket): Promise<void> {
    const upstream = createConnection(join(this.target.host, SOCKET_NAME));
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    const cutByRule = () => {
      cut();
      for (const wake of this.#cutWaiters.splice(0)) wake();
    };
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", cut).on("close", () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    upstream.on("data", (chunk) => client.write(chunk));
    try {
      await this.#forward(client, upstream, cutByRule);
    } catch {
      cut(); // one side went away in the middle of a message
    }
  }

  async #forward(client: Socket, upstream: Socket, cut: () => void): Promise<void> {
    const messages = new FrontendMessages();
    for await (const chunk of client) {
      for (const { bytes, statement } of messages.push(chunk)) {
        const verdict = statement === undefined ? "pass" : await this.rule(statement);
        if (verdict === "lose") return cut();
        if (verdict === "loseAnswer") swallowAnswer(upstream, cut);
        upstream.write(bytes);
        if (typeof verdict === "object") setTimeout(cut, verdict.cutAfterMs);
      }
    }
    upstream.end();
  }
}

/** Takes what Postgres says away from the client, and breaks the connection when the statement is done. */
function swallowAnswer(upstream: Socket, cut: () => void): void {
  let tail = Buffer.alloc(0);
  upstream.removeAllListeners("data");
  upstream.on("data", (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-6);
    if (tail.subarray(0, 5).equals(READY_FOR_QUERY)) cut();
  });
}

/** The message that ends each answer: "Z", its length, and one byte for the state of the transaction. */
const READY_FOR_QUERY = Buffer.from([0x5a, 0, 0, 0, 5]);
