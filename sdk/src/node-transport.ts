import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type Connection, type ConnectionOptions, findConnection } from "./connection.js";
import { withHeaders } from "./headers.js";
import { createWebTransport } from "./web-transport.js";
import { isConnectionLoss } from "./wire-errors.js";

/** What a NodeTransport is made from. */
export interface NodeTransportOptions extends ConnectionOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly fetch?: typeof globalThis.fetch;
}

interface Line {
  readonly connection: Connection;
  readonly transport: Transport;
  readonly close: () => void;
}

/**
 * gRPC over one HTTP/2 connection to wherever the service is. A service on this machine may come back on another port
 * after a restart, so its address is looked up again for every stream and after every lost connection.
 */
export class NodeTransport implements Transport {
  readonly #options: NodeTransportOptions;
  readonly #lines: Line[] = [];
  #stale = true;

  constructor(options: NodeTransportOptions) {
    this.#options = options;
  }

  readonly unary: Transport["unary"] = async (...call) => {
    try {
      return await this.#line().transport.unary(...call);
    } catch (error) {
      this.#stale ||= isConnectionLoss(error);
      throw error;
    }
  };

  readonly stream: Transport["stream"] = async (...call) => {
    this.#stale = true;
    return await this.#line().transport.stream(...call);
  };

  close(): void {
    for (const line of this.#lines.splice(0)) {
      line.close();
    }
    this.#stale = true;
  }

  #line(): Line {
    const last = this.#lines.at(-1);
    if (last !== undefined && !this.#stale) {
      return last;
    }
    this.#stale = false;
    const connection = findConnection(this.#options);
    if (last !== undefined && last.connection.url === connection.url && last.connection.token === connection.token) {
      return last;
    }
    // The older line may still carry calls; it closes when idle.
    const line = openLine(connection, this.#options);
    this.#lines.push(line);
    return line;
  }
}

function openLine(connection: Connection, options: NodeTransportOptions): Line {
  const target = { url: connection.url, token: connection.token, headers: options.headers };
  if (options.fetch !== undefined) {
    return { connection, transport: createWebTransport({ ...target, fetch: options.fetch }), close: () => {} };
  }
  const sessionManager = new Http2SessionManager(connection.url, { pingIntervalMs: 30_000, pingTimeoutMs: 5_000 });
  const transport = createGrpcTransport({
    baseUrl: connection.url,
    sessionManager,
    // Compressing batches of events costs three times what sending them does.
    acceptCompression: [],
    interceptors: [withHeaders(target)],
  });
  return { connection, transport, close: () => sessionManager.abort() };
}
