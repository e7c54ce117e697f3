import type { Server } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { handshakeTimeoutMs, maxConnections } from "./limits.js";

/** Certificate and key, in PEM. */
export interface TlsOptions {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** If set, only clients with a certificate of this authority are let in (mutual TLS). */
  readonly clientCa?: string | Buffer;
}

export interface TlsFrontOptions {
  readonly tls: TlsOptions;
  readonly onHttp1: (socket: TLSSocket) => void;
  readonly onHttp2: (socket: TLSSocket) => void;
}

/** A server that hands each TLS connection to the HTTP version that ALPN agreed on. */
export function createTlsFront({ tls, onHttp1, onHttp2 }: TlsFrontOptions): Server {
  const clientAuthority =
    tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  const server = createServer({
    cert: tls.cert,
    key: tls.key,
    ...clientAuthority,
    minVersion: "TLSv1.2",
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: handshakeTimeoutMs,
    noDelay: true,
  });
  server.maxConnections = maxConnections;
  server.on("secureConnection", (socket) => {
    socket.on("error", () => socket.destroy());
    if (socket.alpnProtocol === "h2") onHttp2(socket);
    else onHttp1(socket);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server;
}
