import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import {
  maxConcurrentStreams,
  maxHeaderBytes,
  maxHeadersCount,
  maxSessionMemoryMb,
  pingTimeoutMs,
  sessionIdleMs,
} from "./limits.js";
import type { HttpHandler } from "./node-http.js";

/** An HTTP/2 server that listens nowhere: connections are given to it with `emit("connection", socket)`. */
export interface Http2Endpoint {
  readonly server: Http2Server;
  /** Asks every client to open no more calls on its connection; those that are open go on. */
  goAway(): void;
}

export function createHttp2Server(handler: HttpHandler): Http2Endpoint {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer(
    {
      maxSessionMemory: maxSessionMemoryMb,
      maxHeaderListPairs: maxHeadersCount,
      settings: { maxConcurrentStreams, maxHeaderListSize: maxHeaderBytes, enablePush: false },
    },
    handler,
  );
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    watchIdleness(session);
  });
  server.on("sessionError", (_error: Error, session: ServerHttp2Session) => session.destroy());
  const goAway = () => {
    for (const session of sessions) session.close();
  };
  return { server, goAway };
}

/** node closes no quiet HTTP/2 connection by itself: one whose peer vanished without a word would stay forever. */
function watchIdleness(session: ServerHttp2Session): void {
  let openStreams = 0;
  session.on("stream", (stream) => {
    openStreams += 1;
    stream.on("close", () => {
      openStreams -= 1;
    });
  });
  session.setTimeout(sessionIdleMs, () => {
    if (openStreams === 0) session.close();
    else expectPong(session);
  });
}

function expectPong(session: ServerHttp2Session): void {
  const timer = setTimeout(() => session.destroy(), pingTimeoutMs);
  const sent = session.ping(() => clearTimeout(timer));
  if (!sent) clearTimeout(timer);
}
