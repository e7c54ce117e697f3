import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_PAYLOAD_BYTES, PARTIAL, UNTERMINATED } from "../spool/record.js";
import { type LinePiece, LineSplitter } from "./line-splitter.js";
import { Redactor } from "./redactor.js";

/** What the agent wrote, put together again from its pieces. */
function join(pieces: readonly LinePiece[]): Buffer {
  return Buffer.concat(
    pieces.map(({ payload, flags }) =>
      flags & (PARTIAL | UNTERMINATED) ? payload : Buffer.concat([payload, Buffer.from("\n")]),
    ),
  );
}

function split(bytes: Buffer, cuts: readonly number[], redactor = new Redactor({})): LinePiece[] {
  const splitter = new LineSplitter(redactor);
  const borders = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  const chunks = borders.slice(1).map((end, index) => bytes.subarray(borders[index], end));
  return [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.finish()];
}

describe("lines", () => {
  test("come back byte for byte, wherever the pipe cut them", () => {
    const text = fc.array(fc.constantFrom("a", "\n", "\r", "\0", "\xff", "é", "\n\n"), { maxLength: 60 });
    fc.assert(
      fc.property(text, fc.array(fc.nat(80), { maxLength: 10 }), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(""), "latin1");
        expect(
          join(
            split(
              bytes,
              cuts.map((cut) => Math.min(cut, bytes.length)),
            ),
          ),
        ).toEqual(bytes);
      }),
    );
  });

  test("of many megabytes come in partial pieces and come back byte for byte", () => {
    const bytes = Buffer.concat([Buffer.alloc(3 * MAX_PAYLOAD_BYTES + 17, "x"), Buffer.from("\nshort")]);
    const pieces = split(bytes, [5, 70_000, 2 * MAX_PAYLOAD_BYTES]);
    expect(join(pieces)).toEqual(bytes);
    expect(Math.max(...pieces.map(({ payload }) => payload.length))).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES);
  });

  test("never show a secret, also when chunks and partial pieces cut it in two", () => {
    const secret = "sk-very-secret-value";
    const redactor = new Redactor({ KEY: secret });
    fc.assert(
      fc.property(
        fc.integer({ min: -40, max: 40 }),
        fc.array(fc.nat(2 * MAX_PAYLOAD_BYTES), { maxLength: 4 }),
        (shift, cuts) => {
          const before = Buffer.alloc(MAX_PAYLOAD_BYTES + shift, "x");
          const bytes = Buffer.concat([before, Buffer.from(secret), Buffer.alloc(MAX_PAYLOAD_BYTES, "y")]);
          const text = join(
            split(
              bytes,
              cuts.map((cut) => Math.min(cut, bytes.length)),
              redactor,
            ),
          ).toString("latin1");
          expect(text).not.toContain(secret);
          expect(text).toContain("[redacted:KEY]");
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("a redactor", () => {
  test.each([
    ["plain", (value: string) => value],
    ["base64", (value: string) => Buffer.from(value).toString("base64")],
    ["in a URL", (value: string) => encodeURIComponent(value)],
    ["in JSON", (value: string) => JSON.stringify(value)],
  ])("cuts out a secret that is written %s", (_, encode) => {
    const secret = 'p@ss "word"/+1';
    const out = new Redactor({ PASSWORD: secret }).redact(Buffer.from(`a ${encode(secret)} b`)).toString();
    expect(out).toContain("[redacted:PASSWORD]");
    expect(out).not.toContain(encode(secret));
  });

  test("leaves values too short to be secrets alone", () => {
    expect(new Redactor({ FLAG: "1" }).redact(Buffer.from("11 1")).toString()).toBe("11 1");
  });
});
