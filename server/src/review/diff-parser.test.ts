import { describe, expect, test } from "vitest";
import { parseDiff, unquote } from "./diff-parser.js";

const header = (name: string): string => `diff --git a/${name} b/${name}\n`;

describe("the diff parser", () => {
  test("counts lines by the hunk's header, not by their look", () => {
    const hunk = "@@ -1,2 +1,3 @@ context\n--- a/x\n+++ b/y\n+diff --git a/z b/z\n @@ -1 +1 @@\n";
    const [section] = parseDiff(`${header("x")}index 1..2 100644\n--- a/x\n+++ b/x\n${hunk}`);
    expect(section).toMatchObject({ path: "x", binary: false, hunks: [{ additions: 2, deletions: 1, text: hunk }] });
  });

  test("keeps the note about a missing line end with its hunk", () => {
    const hunk = "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n";
    const sections = parseDiff(
      `${header("x")}--- a/x\n+++ b/x\n${hunk}${header("y")}old mode 100644\nnew mode 100755\n`,
    );
    expect(sections.map(({ path, hunks }) => [path, hunks.map(({ text }) => text)])).toEqual([
      ["x", [hunk]],
      ["y", []],
    ]);
  });

  test("tells where names with blanks end, and undoes quoting", () => {
    expect(parseDiff(header("a b/a b")).map(({ path }) => path)).toEqual(["a b/a b"]);
    expect(parseDiff('diff --git "a/\\303\\244\\t\\"\\\\" "b/\\303\\244\\t\\"\\\\"\n')[0]?.path).toBe('\xc3\xa4\t"\\');
    expect(unquote("plain")).toBe("plain");
  });

  test.each([
    ["text before the first file", "hello\n"],
    ["two different names", "diff --git a/x b/y\n"],
    ["a name outside the prefixes", "diff --git c/x c/x\n"],
    ["an unknown header line", `${header("x")}similarity index 90%\n`],
    ["a hunk that is too short", `${header("x")}--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n`],
    ["a hunk with too many lines", `${header("x")}--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n+c\n`],
    ["a bad hunk header", `${header("x")}--- a/x\n+++ b/x\n@@ -a +b @@\n`],
    ["an unknown escape", 'diff --git "a/\\q" "b/\\q"\n'],
  ])("refuses %s", (_, text) => {
    expect(() => parseDiff(text)).toThrow("unexpected line");
  });
});
