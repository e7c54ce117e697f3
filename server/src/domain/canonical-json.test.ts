import { expect, test } from "vitest";
import { canonicalJson } from "./canonical-json.js";

test("the order of keys does not matter, at any depth, and that of lists does", () => {
  expect(canonicalJson({ b: [{ y: 1, x: null }], a: "1" })).toBe(canonicalJson({ a: "1", b: [{ x: null, y: 1 }] }));
  expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]));
  expect(canonicalJson({ a: "1" })).not.toBe(canonicalJson({ a: 1 }));
});
