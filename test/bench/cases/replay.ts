import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { RunState, WatchRunEventsRequestSchema, WatchRunEventsResponseSchema } from "@agent-manager/sdk/proto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { TestServer } from "../../support/server.js";
import type { Benchmark } from "../benchmark.js";
import { Child } from "../child.js";
import type { ReaderAnswer, ReaderRequest } from "../processes/reader.js";
import { comparisonRow, perSecond } from "../report.js";
import { compare, timed } from "../statistics.js";
import { fillRun, storeRuns } from "../stored-runs.js";

const WATCH_PATH = "/agent_manager.v1.RunEventService/WatchRunEvents";

export const replay: Benchmark = {
  name: "replay",
  about: "a long run read from its first event, against COPY OUT of the same rows and against decoding alone",
  async run({ bench, quick, events, note }) {
    const database = await bench.openDatabase();
    const [runId = ""] = await storeRuns(database, 1);
    await fillRun(database, { runId, events, state: RunState.COMPLETED });
    const server = await bench.startServer({ environment: { DATABASE_URL: database.url } });
    const reader = new Child("reader");
    bench.onClose(() => reader.stop());
    const rounds = quick ? 1 : 3;
    const recorded = join(bench.folder, "messages");

    const light = await compare({
      rounds,
      measure: async (round) => {
        let answer: ReaderAnswer | undefined;
        const open = { ...watchOf(server, runId), ...(round === 0 && { recordTo: recorded }) };
        const seconds = await timed(async () => {
          await reader.ask<ReaderAnswer>(open);
          answer = await reader.ask<ReaderAnswer>({ kind: "finish", events } satisfies ReaderRequest);
        });
        if (answer?.events !== events) throw new Error(`${answer?.events} of ${events} events came`);
        if (round === 1)
          note(
            `light client: ${(answer.bytes / events).toFixed(0)} B and ${(answer.messages / events).toFixed(4)} messages an event`,
          );
        return events / seconds;
      },
      limit: async () => {
        const copy = `copy (select * from run_event where run_id = '${runId}' order by sequence) to '/dev/null' (format binary)`;
        return events / (await timed(() => database.pool.query(copy)));
      },
    });

    const messages = cutMessages(await readFile(recorded));
    const sdk = await compare({
      rounds,
      measure: async () => {
        const run = await server.am.runs.get(runId);
        let count = 0;
        const seconds = await timed(async () => {
          for await (const _ of run.events()) count += 1;
        });
        if (count !== events) throw new Error(`${count} of ${events} events came`);
        return events / seconds;
      },
      limit: async () => {
        const seconds = await timed(async () => {
          for (const message of messages) fromBinary(WatchRunEventsResponseSchema, message);
        });
        return events / seconds;
      },
    });

    const format = perSecond;
    return [
      comparisonRow({
        what: `replay of ${events} events to a light client`,
        comparison: light,
        format,
        limitName: "COPY OUT",
        target: { atLeast: 0.15 },
      }),
      comparisonRow({
        what: `replay of ${events} events to the SDK`,
        comparison: sdk,
        format,
        limitName: "decoding",
        target: { atLeast: 0.8 },
      }),
    ];
  },
};

/** A watch of one run from its first event, as the reader opens it. */
export function watchOf(
  { url, token }: Pick<TestServer, "url" | "token">,
  runId: string,
): Extract<ReaderRequest, { kind: "open" }> {
  const message = create(WatchRunEventsRequestSchema, { runId });
  return {
    kind: "open",
    url,
    path: WATCH_PATH,
    headers: { authorization: `Bearer ${token}` },
    body: Buffer.from(toBinary(WatchRunEventsRequestSchema, message)).toString("base64"),
    streams: 1,
    connections: 1,
  };
}

function cutMessages(bytes: Buffer): readonly Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
