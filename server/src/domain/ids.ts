import { randomBytes } from "node:crypto";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const COUNTER_LIMIT = 0x1000;

let lastMs = 0;
let counter = 0;

/**
 * Makes a UUIDv7: ids sort by creation, and strictly so within this process, also when the clock stands still
 * or is set back.
 */
export function newId(): string {
  const bytes = randomBytes(16);
  advance(Date.now(), bytes.readUInt16BE(6));
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | counter, 6);
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** True for a UUID of any version. */
export function isId(text: string): boolean {
  return UUID.test(text);
}

function advance(nowMs: number, random: number): void {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = random & 0x7ff; // starts in the lower half, so that it has room to count
    return;
  }
  counter += 1;
  if (counter === COUNTER_LIMIT) {
    lastMs += 1; // borrows from the future rather than repeat or go back
    counter = 0;
  }
}
