import fc from "fast-check";
import { expect, test } from "vitest";
import { plainLine, plainText, safeJson, visibleText } from "./untrusted.js";

test.each([
  ["colours", "\x1b[31mred\x1b[0m", "red"],
  ["cursor moves", "a\x1b[2J\x1b[1;1Hb", "ab"],
  ["a window title", "\x1b]0;evil\x07text", "text"],
  ["a link", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"],
  ["the clipboard", "\x1b]52;c;AAAA\x07", ""],
  ["device control", "\x1bPq#0\x1b\\after", "after"],
  ["eight-bit sequences", "\x9b31mred", "red"],
  ["an unfinished sequence", "text\x1b[3", "text"],
  ["a lone carriage return", "visible\rhidden", "visiblehidden"],
  ["Windows line ends", "a\r\nb", "a\nb"],
  ["reordering", "a\u202eb", "a<U+202e>b"],
])("%s cannot reach the terminal", (_, text, plain) => {
  expect(plainText(text)).toBe(plain);
});

test("no text of an agent holds a control character but tab and newline afterwards", () => {
  const nasty = fc.string({
    unit: fc.constantFrom("\x1b", "[", "]", "\x07", "\\", "\x9b", "P", "m", "0", "\r", "\n", "é"),
  });
  fc.assert(
    fc.property(nasty, (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
      expect(plainText(text)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
      expect(visibleText(text)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
    }),
  );
});

test("a reviewer sees a control character instead of losing it", () => {
  expect(visibleText("+\x1b[8mhidden\r")).toBe("+␛[8mhidden␍");
});

test("a line stays a line", () => {
  expect(plainLine(" a\n\tb\r\n c ")).toBe("a b c");
});

test("JSON stays the same value without bytes that a terminal obeys", () => {
  const json = safeJson(JSON.stringify({ text: "\x9b31m\x7f\u202e" }));
  expect(json).toBe('{"text":"\\u009b31m\\u007f\\u202e"}');
  expect(JSON.parse(json)).toEqual({ text: "\x9b31m\x7f\u202e" });
});
