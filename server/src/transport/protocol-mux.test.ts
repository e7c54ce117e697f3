import { once } from "node:events";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createHttp1Server } from "./http1.js";
import { createProtocolMux } from "./protocol-mux.js";

const clean: (() => void)[] = [];
afterEach(() => {
  for (const step of clean.splice(0)) step();
});

test.each([
  ["GET / HTTP/1.1\r\n", "http1"],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"],
  ["PRI * HTTP/1.1\r\n", "http1"],
  ["PUT", "http1"],
])("%j goes to %s, byte for byte", async (bytes, protocol) => {
  const { socket, chosen } = await dial(10_000);
  socket.write(bytes);
  const { to, start } = await chosen;
  expect({ to, start }).toEqual({ to: protocol, start: bytes });
});

test.each(["", "P", "PRI * HTT"])("%j and then nothing is cut off after the time to decide", async (bytes) => {
  const { socket } = await dial(100);
  socket.write(bytes);
  socket.resume();
  await once(socket, "close");
});

test("a connection that decided in time is not cut off later", async () => {
  const { socket, chosen } = await dial(50);
  socket.write("GET ");
  await chosen;
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(socket.closed).toBe(false);
});

test("an HTTP/1.1 request whose headers never end is cut off", async () => {
  const http1 = createHttp1Server((_request, response) => response.end());
  http1.headersTimeout = 100;
  clean.push(() => http1.close());
  const { socket } = await dial(10_000, (accepted) => http1.emit("connection", accepted));
  socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
  socket.resume();
  await once(socket, "close");
}, 10_000);

interface Choice {
  readonly to: "http1" | "http2";
  readonly start: string;
}

async function dial(sniffTimeoutMs: number, onHttp1?: (socket: Socket) => void) {
  let choose: (choice: Choice) => void = () => undefined;
  const chosen = new Promise<Choice>((resolve) => {
    choose = resolve;
  });
  // As both servers do: one reads what is buffered, the other lets it flow.
  const readFlowing = (socket: Socket) =>
    socket.once("data", (chunk: Buffer) => choose({ to: "http1", start: `${chunk}` }));
  const readBuffered = (socket: Socket) => process.nextTick(() => choose({ to: "http2", start: `${socket.read()}` }));
  const mux = createProtocolMux({ onHttp1: onHttp1 ?? readFlowing, onHttp2: readBuffered, sniffTimeoutMs });
  mux.listen(0, "127.0.0.1");
  await once(mux, "listening");
  // A server that listens on TCP has such an address.
  const socket = connect((mux.address() as AddressInfo).port, "127.0.0.1");
  clean.push(
    () => socket.destroy(),
    () => mux.close(),
  );
  await once(socket, "connect");
  return { socket, chosen };
}
