import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunEvent } from "@agent-manager/sdk/proto";
import { test } from "vitest";
import { PARTIAL, RecordKind, UNTERMINATED } from "../../server/src/execution/spool/record.js";
import { SpoolReader } from "../../server/src/execution/spool/spool-reader.js";
import { sized } from "./support/chance.js";
import { complete, type Expectation } from "./support/expectation.js";
import { type FaultSite, underFault } from "./support/fault-site.js";
import type { OutputStream } from "./support/ledger.js";
import { PromiseBroken } from "./support/oracle.js";

interface Part {
  readonly stream?: OutputStream;
  readonly bytes: Buffer;
  readonly times?: number;
  readonly pause_ms?: number;
}

const text = (value: string): readonly Part[] => [{ bytes: Buffer.from(value) }];
const byteByByte = (value: string): readonly Part[] =>
  [...Buffer.from(value)].map((byte) => ({ bytes: Buffer.from([byte]), pause_ms: 1 }));

const table: Readonly<Record<string, readonly Part[]>> = {
  "a line of 10 MB": [{ bytes: Buffer.from("0123456789"), times: 1024 * 1024 }, ...text("\n")],
  "a line longer than any frame may be": [
    { bytes: Buffer.from("abcdefgh"), times: sized(4, 2.5) * 1024 * 1024 },
    ...text("\n"),
  ],
  "lines at and around the length of a record": [-1, 0, 1].flatMap((more) => [
    { bytes: Buffer.from("r"), times: 256 * 1024 + more },
    ...text("\n"),
  ]),
  "NUL bytes": text("a\0b\0\0\n\0\n"),
  "bytes that are not UTF-8": [{ bytes: Buffer.from([0xff, 0xfe, 0x80, 0xc3, 0x28, 10, 0xed, 0xa0, 0x80, 10]) }],
  "carriage returns only": text("10%\r20%\r30%\rdone\r"),
  "Windows line ends": text("one\r\ntwo\r\n\r\n"),
  "no line end at the end": text("first\nand no more"),
  "empty lines and lines of blanks": text("\n\n \n\t\n  \n"),
  "terminal escapes": text("\x1b[31mred\x1b[0m\x1b]8;;http://x/\x07link\x1b]8;;\x07\x1b]52;c;aGk=\x07\n"),
  "one byte per write": byteByByte("slow and steady\nsecond\n"),
  "characters split across writes": byteByByte("naïve 日本語 😀\n"),
  "two streams in turn": Array.from({ length: 40 }, (_, index) => ({
    stream: index % 2 === 0 ? ("stdout" as const) : ("stderr" as const),
    bytes: Buffer.from(`line ${index}${index % 3 === 0 ? "\n" : " "}`),
  })),
  "what looks like a frame": text('{"type":"no such type","x":"\\u0000"}\n{"half": \n{}\n'),
  "no output at all": [],
};

test("whatever agents write comes back from the spool and from the log byte for byte", () =>
  underFault({ name: "nasty output", copies: true }, async (site) => {
    const server = await site.startServer();
    const ids = new Map<string, string>();
    for (const [name, parts] of Object.entries(table)) ids.set(name, await startWriter(site, parts));
    await site.settle();
    for (const [name, id] of ids) {
      const delivered: RunEvent[] = [];
      for await (const event of (await server.am.runs.get(id)).events()) delivered.push(event);
      for (const stream of ["stdout", "stderr"] as const) {
        const written = await readFile(join(site.ledgers, `${id}.${stream === "stdout" ? 1 : 2}`));
        expectSame(`${name}, spool`, await readSpool(site, id, stream), written);
        expectSame(`${name}, log`, linesLogged(delivered, stream), withoutFrames(written));
      }
    }
  }));

function startWriter(site: FaultSite, parts: readonly Part[]): Promise<string> {
  const raw = parts.map(({ bytes, ...part }) => ({ ...part, base64: bytes.toString("base64") }));
  const expectation: Expectation = { ...complete, lines: "unjudged" };
  return site.startRun({ steps: [{ raw }, ...endLine(parts)], expectation });
}

/** The agent's own last frame must start on a line of its own to be one. */
function endLine(parts: readonly Part[]) {
  const last = parts.filter(({ stream = "stdout" }) => stream === "stdout").at(-1);
  return last && last.bytes.at(-1) !== 10 ? [{ raw: [{ base64: Buffer.from("\n").toString("base64") }] }] : [];
}

/** What the supervisor kept of a stream. */
async function readSpool(site: FaultSite, runId: string, stream: OutputStream): Promise<Buffer> {
  const reader = new SpoolReader(join(site.folder, "a", "runs", runId, "spool"));
  const pieces: Buffer[] = [];
  for (let offset = 0; ; ) {
    const { records, endOffset } = await reader.read(offset);
    if (records.length === 0) break;
    for (const { record } of records) {
      if (record.kind !== RecordKind[stream]) continue;
      pieces.push(Buffer.from(record.payload));
      if ((record.flags & (PARTIAL | UNTERMINATED)) === 0) pieces.push(Buffer.from("\n"));
    }
    offset = endOffset;
  }
  await reader.close();
  return Buffer.concat(pieces);
}

/** What the log has of a stream, but for the frames that became other events. */
function linesLogged(events: readonly RunEvent[], stream: OutputStream): Buffer {
  const pieces = events.flatMap(({ event }) => {
    if (event.case === "native" && stream === "stdout") return [Buffer.from(`${event.value.json}\n`)];
    if (event.case !== "log" || event.value.stderr !== (stream === "stderr")) return [];
    return [Buffer.from(event.value.data), Buffer.from(event.value.partial ? "" : "\n")];
  });
  return Buffer.concat(pieces);
}

/** The agent's own frames become other events; whatever else it writes is a log event, or one for an unknown frame. */
function withoutFrames(written: Buffer): Buffer {
  const lines = splitLines(written).filter(
    (line) => !/^\{"type":"(system|result|control_response)"/.test(line.toString("latin1", 0, 40)),
  );
  return Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")]));
}

function splitLines(bytes: Buffer): readonly Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return start < bytes.length ? [...lines, bytes.subarray(start)] : lines;
}

/** Says where two long texts differ, instead of printing both. */
function expectSame(what: string, found: Buffer, wanted: Buffer): void {
  const at = found.findIndex((byte, index) => byte !== wanted[index]);
  const from = Math.max(0, (at === -1 ? Math.min(found.length, wanted.length) : at) - 20);
  const excerpt = (bytes: Buffer) => `${bytes.length} bytes, …${bytes.toString("latin1", from, from + 80)}`;
  if (!found.equals(wanted)) throw new PromiseBroken([`${what}: ${excerpt(found)} instead of ${excerpt(wanted)}`]);
}
