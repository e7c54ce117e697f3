import { readFile } from "node:fs/promises";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { join } from "node:path";
import * as proto from "@agent-manager/sdk/proto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { projectMaker, script } from "../support/scripted-run.js";
import { makeFolder, startServer, type TestServer } from "../support/server.js";

/** What an agent writes while its watchers stall. */
const OUTPUT_MB = Number(process.env.SLOW_WATCHER_MB ?? "40");
const LINE_BYTES = 2_000;
const LINES = (OUTPUT_MB * 1_000_000) / LINE_BYTES;
const STALLED_WATCHERS = 4;
/** Much less than what the stalled watchers would take together if what they do not read were kept for them. */
const MAX_GROWTH_MB = 80;

let folder: Awaited<ReturnType<typeof makeFolder>>;
let server: TestServer;
let session: ClientHttp2Session;
const makeProject = projectMaker(() => folder.path);

beforeAll(async () => {
  folder = await makeFolder();
  server = await startServer({ dataDir: join(folder.path, "data") });
  session = connect(server.url);
});

afterAll(async () => {
  session.destroy();
  await server.stop();
  await folder.remove();
});

async function startFlood() {
  const prompt = script({ lines: { count: LINES, prefix: "x".repeat(LINE_BYTES) } });
  return server.am.runs.start({ task: { prompt, projectRoot: await makeProject() } });
}

/** A watch over gRPC of which nothing is read yet. */
function openStalledWatch(runId: string): ClientHttp2Stream {
  const request = create(proto.WatchEventsRequestSchema, { selector: { runIds: [runId] } });
  const stream = session.request({
    ":method": "POST",
    ":path": `/${proto.RunEventService.typeName}/WatchEvents`,
    "content-type": "application/grpc+proto",
    te: "trailers",
    authorization: `Bearer ${server.token}`,
  });
  const message = toBinary(proto.WatchEventsRequestSchema, request);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
  return stream;
}

/** Goes on reading until that many events came. */
async function readEvents(stream: ClientHttp2Stream, count: bigint): Promise<bigint[]> {
  const sequences: bigint[] = [];
  let buffer = Buffer.alloc(0);
  for await (const data of stream) {
    buffer = Buffer.concat([buffer, data]);
    for (let end = messageEnd(buffer); end <= buffer.length; end = messageEnd(buffer)) {
      const { frame } = fromBinary(proto.WatchEventsResponseSchema, buffer.subarray(5, end));
      buffer = buffer.subarray(end);
      if (frame.case === "batch") sequences.push(...frame.value.events.map(({ sequence }) => sequence));
    }
    if (sequences.length >= count) return sequences;
  }
  return sequences;
}

function messageEnd(buffer: Buffer): number {
  return buffer.length < 5 ? Number.POSITIVE_INFINITY : 5 + buffer.readUInt32BE(1);
}

async function residentMb(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_000;
}

test(`${STALLED_WATCHERS} watchers that stall while ${OUTPUT_MB} MB are written cost little memory, and then read everything`, async () => {
  await (await startFlood()).wait(); // the server at its working size
  const beforeMb = await residentMb();
  const run = await startFlood();
  const watches = Array.from({ length: STALLED_WATCHERS }, () => openStalledWatch(run.id));
  await run.wait();
  const growthMb = (await residentMb()) - beforeMb;
  expect(growthMb).toBeLessThan(MAX_GROWTH_MB);
  const { lastSequence } = await run.refresh();
  expect(lastSequence).toBeGreaterThan(LINES);
  const [first, ...others] = watches;
  const sequences = first && (await readEvents(first, lastSequence));
  expect(sequences).toEqual(Array.from({ length: Number(lastSequence) }, (_, index) => BigInt(index + 1)));
  for (const stream of others) stream.close();
});
