import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { serveParent } from "../child.js";
import type { PublishAnswer } from "./event-server.js";

export type RawServerRequest =
  | { readonly kind: "listen" }
  /** Writes the messages in the file, after the first, to every open stream. */
  | { readonly kind: "publish"; readonly file: string };

/** The bytes of a watch written by hand: what HTTP/2 in Node gives at best. */
const streams = new Set<ServerHttp2Stream>();
const server = createServer();

server.on("stream", (stream) => {
  stream.respond({ ":status": 200, "content-type": "application/grpc" });
  stream.write(Buffer.alloc(5)); // an empty message says that the stream is open
  streams.add(stream);
  stream.on("error", () => stream.destroy());
  stream.on("close", () => streams.delete(stream));
  stream.resume();
});
server.on("session", (session) => session.on("error", () => session.destroy()));

serveParent(async (request: RawServerRequest) => {
  if (request.kind === "listen") {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    // a server that listens on TCP has an address of this kind
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }
  const messages = cutMessages(readFileSync(request.file)).slice(1);
  const cpu = process.cpuUsage();
  await Promise.all([...streams].map((stream) => writeAll(stream, messages)));
  const used = process.cpuUsage(cpu);
  const answer: PublishAnswer = { cpuSeconds: (used.user + used.system) / 1e6 };
  return answer;
});

async function writeAll(stream: ServerHttp2Stream, messages: readonly Buffer[]): Promise<void> {
  for (const message of messages) if (!stream.write(message)) await once(stream, "drain");
}

function cutMessages(bytes: Buffer): readonly Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at, end));
    at = end;
  }
  return messages;
}
