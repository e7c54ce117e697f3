import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { collect } from "../../../test/support/listener.js";
import { isEnveloped, limitMessages } from "./message-limit.js";

const limitBytes = 10;

describe("enveloped messages", () => {
  test("pass unchanged and end at the first that is too large, wherever the chunks are cut", async () => {
    const sizes = fc.array(fc.nat(15), { maxLength: 6 });
    const cuts = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(sizes, cuts, async (messages, lengths) => {
        const whole = Buffer.concat(messages.map(envelope));
        const outcome = await read(cut(whole, lengths), true);
        if (messages.some((size) => size > limitBytes)) expect(outcome).toMatchObject({ reason: "MESSAGE_TOO_LARGE" });
        else expect(outcome).toEqual(whole);
      }),
    );
  });

  test("are refused when their length is announced, not when it has arrived", async () => {
    const endless = (async function* () {
      yield Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
      throw new Error("the payload was read");
    })();
    expect(await read(endless, true)).toMatchObject({
      reason: "MESSAGE_TOO_LARGE",
      values: { size_bytes: "4294967295" },
    });
  });
});

describe("a bare message", () => {
  test("may be as large as the limit and not larger", async () => {
    expect(await read(cut(Buffer.alloc(10), [3]), false)).toHaveLength(10);
    expect(await read(cut(Buffer.alloc(11), [3]), false)).toMatchObject({ reason: "MESSAGE_TOO_LARGE" });
  });
});

test("a connection that breaks while the message arrives is a call that was cancelled", async () => {
  const broken = (async function* () {
    yield Buffer.alloc(1);
    throw Object.assign(new Error("aborted"), { code: "ECONNRESET" });
  })();
  expect(await read(broken, false)).toMatchObject({ code: Code.Canceled });
});

test.each([
  ["application/grpc", true],
  ["application/grpc+proto", true],
  ["application/grpc-web+proto", true],
  ["application/connect+json", true],
  ["application/json", false],
  ["application/proto", false],
  [undefined, false],
])("messages of %s have a prefix: %s", (contentType, expected) => {
  expect(isEnveloped(contentType)).toBe(expected);
});

function envelope(size: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(size, 1);
  return Buffer.concat([prefix, Buffer.alloc(size, 0xff)]);
}

async function* cut(bytes: Buffer, lengths: readonly number[]) {
  for (let offset = 0, index = 0; offset < bytes.length; index += 1) {
    const length = lengths[index % lengths.length] ?? 1;
    yield bytes.subarray(offset, offset + length);
    offset += length;
  }
}

async function read(chunks: AsyncIterable<Uint8Array>, enveloped: boolean): Promise<unknown> {
  try {
    return Buffer.concat(await collect(limitMessages({ chunks, enveloped, limitBytes })));
  } catch (error) {
    return error;
  }
}
