import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { endOnAbort } from "./abortable-stream.js";

const convert = (error: unknown) => new Error(`converted ${String(error)}`);

test("messages pass and an end stays an end", async () => {
  const { signal } = new AbortController();
  const received: number[] = [];
  for await (const message of endOnAbort({ messages: count(3), signal, convert })) received.push(message);
  expect(received).toEqual([0, 1, 2]);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("a thousand messages share one listener", async () => {
  const { signal } = new AbortController();
  let most = 0;
  for await (const _ of endOnAbort({ messages: count(1000), signal, convert })) {
    most = Math.max(most, getEventListeners(signal, "abort").length);
  }
  expect(most).toBe(1);
});

test("an abort while the source hangs ends the stream with the converted reason", async () => {
  const call = new AbortController();
  const stream = endOnAbort({ messages: hang(), signal: call.signal, convert });
  await stream.next();
  const next = stream.next();
  call.abort("left");
  await expect(next).rejects.toThrow("converted left");
});

test("an abort while nobody waits ends the stream at the next message", async () => {
  const call = new AbortController();
  const stream = endOnAbort({ messages: count(1000), signal: call.signal, convert });
  await stream.next();
  call.abort("left");
  await expect(stream.next()).rejects.toThrow("converted left");
});

test("a source that ends because of the abort does not look complete", async () => {
  const call = new AbortController();
  const messages = (async function* () {
    yield 1;
    call.abort("left");
  })();
  const stream = endOnAbort({ messages, signal: call.signal, convert });
  await stream.next();
  await expect(stream.next()).rejects.toThrow("converted left");
});

test("a reader that leaves closes the source", async () => {
  let closed = false;
  const messages = (async function* () {
    try {
      yield 1;
      yield 2;
    } finally {
      closed = true;
    }
  })();
  const stream = endOnAbort({ messages, signal: new AbortController().signal, convert });
  await stream.next();
  await stream.return(undefined);
  await expect.poll(() => closed).toBe(true);
});

async function* count(limit: number) {
  for (let n = 0; n < limit; n += 1) yield n;
}

async function* hang() {
  yield 0;
  await new Promise(() => undefined);
}
