import { appendFileSync, mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PARTIAL, RecordKind, type SpoolRecord, UNTERMINATED } from "./record.js";
import { segmentPath } from "./segments.js";
import { SpoolDamagedError, SpoolReader } from "./spool-reader.js";
import { SpoolWriter } from "./spool-writer.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "am-spool-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const records: fc.Arbitrary<SpoolRecord[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...Object.values(RecordKind)),
    flags: fc.constantFrom(0, PARTIAL, UNTERMINATED),
    monotonicNs: fc.bigInt({ min: 0n, max: 2n ** 63n }),
    wallMs: fc.integer({ min: 0, max: 4e12 }),
    payload: fc.uint8Array({ maxLength: 3_000 }).map((bytes) => Buffer.from(bytes)),
  }),
  { minLength: 1, maxLength: 30 },
);

async function readAll(path: string): Promise<SpoolRecord[]> {
  const reader = new SpoolReader(path);
  const found: SpoolRecord[] = [];
  for (let offset = 0; ; ) {
    const batch = await reader.read(offset);
    found.push(...batch.records.map(({ record }) => ({ ...record, payload: Buffer.from(record.payload) })));
    if (batch.records.length === 0) break;
    offset = batch.endOffset;
  }
  await reader.close();
  return found;
}

describe("a spool", () => {
  test("gives back exactly what was appended, whatever the bytes", async () => {
    await fc.assert(
      fc.asyncProperty(records, async (written) => {
        const path = mkdtempSync(join(folder, "x"));
        const writer = new SpoolWriter(path);
        for (const record of written) writer.append([record]);
        writer.close();
        expect(await readAll(path)).toEqual(written);
      }),
      { numRuns: 50 },
    );
  });

  test("cut anywhere by a crash loses only the record it was cut in, and takes new ones after it", async () => {
    await fc.assert(
      fc.asyncProperty(records, fc.double({ min: 0, max: 1, noNaN: true }), async (written, share) => {
        const path = mkdtempSync(join(folder, "x"));
        const writer = new SpoolWriter(path);
        const ends = written.map((record) => {
          writer.append([record]);
          return writer.offset;
        });
        writer.close();
        const size = Math.floor(share * (ends.at(-1) ?? 0));
        truncateSync(segmentPath(path, 0), size);
        const whole = written.filter((_, index) => (ends[index] ?? 0) <= size);

        const again = new SpoolWriter(path);
        expect(again.offset).toBe(ends.filter((end) => end <= size).at(-1) ?? 0);
        again.append(written.slice(0, 1));
        again.close();
        expect(await readAll(path)).toEqual([...whole, ...written.slice(0, 1)]);
      }),
      { numRuns: 50 },
    );
  });

  test("with a record longer than the read buffer is read whole", async () => {
    const payload = Buffer.alloc(5 * 1024 * 1024, 7);
    const writer = new SpoolWriter(folder);
    writer.append([{ kind: RecordKind.stdout, flags: 0, monotonicNs: 1n, wallMs: 2, payload }]);
    writer.close();
    expect((await readAll(folder))[0]?.payload.equals(payload)).toBe(true);
  });

  test("shows a record that is still being written as nothing new", async () => {
    const writer = new SpoolWriter(folder);
    writer.append([{ kind: RecordKind.stdout, flags: 0, monotonicNs: 1n, wallMs: 2, payload: Buffer.from("whole") }]);
    const end = writer.offset;
    appendFileSync(segmentPath(folder, 0), Buffer.from([0, 0, 0, 9, 1, 0]));
    const reader = new SpoolReader(folder);
    expect((await reader.read(end)).records).toEqual([]);
    await reader.close();
    writer.close();
  });

  test("with a flipped bit is reported as damaged instead of read", async () => {
    const writer = new SpoolWriter(folder);
    writer.append([{ kind: RecordKind.stdout, flags: 0, monotonicNs: 1n, wallMs: 2, payload: Buffer.from("hello") }]);
    writer.close();
    const path = segmentPath(folder, 0);
    const size = statSync(path).size;
    truncateSync(path, size - 1);
    appendFileSync(path, Buffer.from([0]));
    const reader = new SpoolReader(folder);
    await expect(reader.read(0)).rejects.toThrow(SpoolDamagedError);
    await reader.close();
  });
});
