import { expect, test, vi } from "vitest";
import { isId, newId } from "./ids.js";

test("ids are version 7 UUIDs of this moment", () => {
  const before = Date.now();
  const id = newId();
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const ms = Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
  expect(ms).toBeGreaterThanOrEqual(before);
  expect(ms).toBeLessThan(before + 60_000);
});

test("ids sort as they were made, also within a millisecond and when the clock is set back", () => {
  vi.useFakeTimers({ now: Date.now() + 120_000 });
  try {
    const ids = Array.from({ length: 10_000 }, newId);
    vi.setSystemTime(Date.now() - 3_600_000);
    ids.push(...Array.from({ length: 100 }, newId));
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(ids.length);
  } finally {
    vi.useRealTimers();
  }
});

test("only UUIDs are ids", () => {
  expect(isId(newId())).toBe(true);
  expect(isId("")).toBe(false);
  expect(isId(`${newId()}'`)).toBe(false);
  expect(isId(newId().replaceAll("-", ""))).toBe(false);
});
