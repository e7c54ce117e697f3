import { createServer, type Server } from "node:http";
import { headersTimeoutMs, keepAliveTimeoutMs, maxHeaderBytes, maxHeadersCount, requestTimeoutMs } from "./limits.js";
import type { HttpHandler } from "./node-http.js";

/** An HTTP/1.1 server that listens nowhere: connections are given to it with `emit("connection", socket)`. */
export function createHttp1Server(handler: HttpHandler): Server {
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      maxHeaderSize: maxHeaderBytes,
      connectionsCheckingInterval: 2_000,
    },
    handler,
  );
  server.maxHeadersCount = maxHeadersCount;
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    else socket.destroy();
  });
  // node starts to enforce headersTimeout and requestTimeout when it starts to listen, which it never does here.
  server.emit("listening");
  return server;
}
