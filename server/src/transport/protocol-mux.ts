import { createServer, type Server, type Socket } from "node:net";
import { handshakeTimeoutMs, maxConnections } from "./limits.js";

export interface ProtocolMuxOptions {
  readonly onHttp1: (socket: Socket) => void;
  readonly onHttp2: (socket: Socket) => void;
  readonly sniffTimeoutMs?: number;
}

/**
 * A server that hands each cleartext connection to HTTP/2 if it starts with the preface of HTTP/2 and to HTTP/1.1
 * otherwise. node's own HTTP/2 server takes both only under TLS, where ALPN tells them apart.
 */
export function createProtocolMux({
  onHttp1,
  onHttp2,
  sniffTimeoutMs = handshakeTimeoutMs,
}: ProtocolMuxOptions): Server {
  const server = createServer({ noDelay: true }, (socket) => {
    sniff({ socket, sniffTimeoutMs, enterHttp1: () => onHttp1(socket), enterHttp2: () => onHttp2(socket) });
  });
  server.maxConnections = maxConnections;
  return server;
}

interface Sniff {
  readonly socket: Socket;
  readonly sniffTimeoutMs: number;
  readonly enterHttp1: () => void;
  readonly enterHttp2: () => void;
}

/** "POST" and "PRI *" share their first letter, so what arrives in pieces is looked at until it differs. */
function sniff({ socket, sniffTimeoutMs, enterHttp1, enterHttp2 }: Sniff): void {
  const started: Buffer[] = [];
  const giveUp = () => socket.destroy();
  const timer = setTimeout(giveUp, sniffTimeoutMs);
  socket.on("data", look).on("end", giveUp).on("error", giveUp).on("close", stop);

  function look(chunk: Buffer): void {
    started.push(chunk);
    const protocol = protocolOf(Buffer.concat(started));
    if (protocol === undefined) return;
    stop();
    // Paused, or the bytes would flow to nobody before the session reads them out of the buffer on its next tick.
    socket.pause();
    socket.unshift(Buffer.concat(started));
    if (protocol === "http2") {
      enterHttp2();
    } else {
      enterHttp1();
      socket.resume();
    }
  }

  function stop(): void {
    clearTimeout(timer);
    socket.off("data", look).off("end", giveUp).off("close", stop);
    // "error" stays: between this server and the next one nobody else listens, and an error would end the process.
  }
}

const preface = Buffer.from("PRI * HTTP/2.0");

function protocolOf(start: Buffer): "http1" | "http2" | undefined {
  const compared = Math.min(start.length, preface.length);
  if (!start.subarray(0, compared).equals(preface.subarray(0, compared))) return "http1";
  return compared === preface.length ? "http2" : undefined;
}
