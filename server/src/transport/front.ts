import { once } from "node:events";
import type { Server, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { createHttp1Server } from "./http1.js";
import { createHttp2Server } from "./http2.js";
import { describeListenError } from "./listen-address.js";
import type { HttpHandler } from "./node-http.js";
import { createProtocolMux } from "./protocol-mux.js";
import { createTlsFront, type TlsOptions } from "./tls-front.js";

/** What listens: one socket for HTTP/1.1 and HTTP/2, in clear or under TLS. */
export interface Front {
  /** Resolves with the port. `host` is what error texts call the address. */
  listen(at: { readonly address: string; readonly port: number; readonly host: string }): Promise<number>;
  /** Takes no more connections, and no more calls on the HTTP/2 connections there are. */
  refuseNew(): void;
  /** Closes every connection, those with unsent bytes last. */
  destroy(): Promise<void>;
}

export interface FrontOptions {
  readonly handler: HttpHandler;
  readonly tls: TlsOptions | undefined;
  readonly log: Logger;
}

export function createFront({ handler, tls, log }: FrontOptions): Front {
  const http1 = createHttp1Server(handler);
  const http2 = createHttp2Server(handler);
  const onHttp1 = (socket: Socket) => http1.emit("connection", socket);
  const onHttp2 = (socket: Socket) => http2.server.emit("connection", socket);
  const server =
    tls === undefined ? createProtocolMux({ onHttp1, onHttp2 }) : createTlsFront({ tls, onHttp1, onHttp2 });
  const sockets = trackSockets(server);

  return {
    async listen({ address, port, host }) {
      const bound = await bind({ server, address, port, host });
      // Such as too many open files while accepting: nobody listening would end the process.
      server.on("error", (error) => log.error({ err: error }, "connection could not be accepted"));
      return bound;
    },
    refuseNew() {
      server.close();
      http1.close(() => undefined); // never listened, which it reports; this stops its timer
      http2.goAway();
    },
    async destroy() {
      // An HTTP/2 connection ends by itself after its last call; cut off sooner, the client may miss how that ended.
      await untilEmpty(sockets, 250);
      for (const socket of sockets) socket.destroySoon();
      // A peer that does not read keeps its socket from finishing.
      await untilEmpty(sockets, 50);
      for (const socket of sockets) socket.destroy();
    },
  };
}

function trackSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return sockets;
}

async function untilEmpty(sockets: ReadonlySet<Socket>, limitMs: number): Promise<void> {
  const endMs = Date.now() + limitMs;
  while (sockets.size > 0 && Date.now() < endMs) await sleep(5);
}

interface Binding {
  readonly server: Server;
  readonly address: string;
  readonly port: number;
  readonly host: string;
}

async function bind({ server, address, port, host }: Binding): Promise<number> {
  try {
    server.listen({ host: address, port });
    await once(server, "listening");
  } catch (error) {
    throw describeListenError(error, `${host}:${port}`);
  }
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("a TCP server has no port");
  return bound.port;
}
