import fc from "fast-check";
import { expect, test } from "vitest";
import { newId } from "../domain/ids.js";
import { openPage } from "./pages.js";

const invalid = expect.objectContaining({ reason: "PAGE_TOKEN_INVALID" });
const first = (list: string, filters?: unknown) => openPage({ list, filters, pageSize: 1, pageToken: "" });
const tokenOf = (list: string, filters?: unknown, id = newId()) =>
  first(list, filters).pageOf([id, newId()], (row) => row).nextPageToken;
const open = (list: string, pageToken: string, filters?: unknown) => () =>
  openPage({ list, filters, pageSize: 1, pageToken });

test.each([
  [0, 50],
  [1, 1],
  [500, 500],
  [501, 500],
  [2_147_483_647, 500],
])("a page size of %d holds %d rows", (pageSize, holds) => {
  const page = openPage({ list: "task", pageSize, pageToken: "" });
  const rows = Array.from({ length: page.limit }, newId);
  expect(page.limit).toBe(holds + 1);
  expect(page.pageOf(rows, (row) => row).items).toHaveLength(holds);
});

test("a token leads on after the last row of its page, and there is none after the last page", () => {
  const id = newId();
  expect(open("task", tokenOf("task", { a: 1, b: 2 }, id), { b: 2, a: 1 })().before).toBe(id);
  expect(first("task").before).toBeUndefined();
  expect(first("task").pageOf([id], (row) => row).nextPageToken).toBe("");
  expect(first("task").pageOf([], String).nextPageToken).toBe("");
});

test("a token of another list or of other filters is refused", () => {
  expect(open("policy", tokenOf("task"))).toThrow(invalid);
  expect(open("task", tokenOf("task", { labels: { a: "1" } }), { labels: { a: "2" } })).toThrow(invalid);
});

test("any changed token is refused, and nothing else is thrown", () => {
  const token = tokenOf("task");
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.string({ minLength: 1, maxLength: 2 }), (at, text) => {
      const changed = token.slice(0, at) + text + token.slice(at + 1);
      fc.pre(changed !== token);
      try {
        // a changed id is another place in the same list, which does no harm
        expect(open("task", changed)().before).not.toBe(open("task", token)().before);
      } catch (error) {
        expect(error).toEqual(invalid);
      }
    }),
  );
  for (const garbled of ["x", `${token}=`, ` ${token}`, `${token}\n`, "null", "%%%%"]) {
    expect(open("task", garbled)).toThrow(invalid);
  }
});
