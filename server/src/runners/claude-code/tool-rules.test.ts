import fc from "fast-check";
import { expect, test } from "vitest";
import { allowedBy, deniedBy, toolOf } from "./tool-rules.js";

const bash = (command: string): { readonly command: string } => ({ command });

test.each([
  ["Bash", "rm -rf /", true],
  ["Bash(git *)", "git status", true],
  ["Bash(git *)", "git", true],
  ["Bash(git *)", "gitk", false],
  ["Bash(git:*)", "git status", true],
  ["Bash(npm test)", "npm test", true],
  ["Bash(npm test)", "npm test -- --watch", false],
  ["Bash(git *)", "git log; rm -rf /", false],
  ["Bash(git *)", "git log $(rm x)", false],
  ["Bash(git *)", "git log\nrm x", false],
  ["Write", "git", false],
])("the rule %s allows %s: %s", (rule, command, allowed) => {
  expect(allowedBy([rule], "Bash", bash(command))).toBe(allowed);
});

test.each([
  ["Bash(rm *)", "rm x", true],
  ["Bash(rm *)", "ls && rm x", true],
  ["Bash(rm *)", "ls; (rm x)", true],
  ["Bash(rm *)", "ls", false],
  ["Bash(*secret*)", "cat my-secret-file", true],
])("the rule %s denies %s: %s", (rule, command, denied) => {
  expect(deniedBy([rule], "Bash", bash(command))).toBe(denied);
});

test("a server's name covers its tools and no other server's", () => {
  expect(allowedBy(["mcp__files"], "mcp__files__read", {})).toBe(true);
  expect(allowedBy(["mcp__files__*"], "mcp__files__read", {})).toBe(true);
  expect(allowedBy(["mcp__files"], "mcp__files2__read", {})).toBe(false);
});

test("a domain is denied wherever it stands and never allowed by us", () => {
  const input = { url: "https://example.com/x" };
  expect(deniedBy(["WebFetch(domain:example.com)"], "WebFetch", input)).toBe(true);
  expect(allowedBy(["WebFetch(domain:example.com)"], "WebFetch", input)).toBe(false);
});

test("a pattern of stars and letters matches as the expression it stands for", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 6 });
  const subject = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(letters, subject, (pattern, command) => {
      const expression = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
      expect(allowedBy([`Bash(${pattern})`], "Bash", bash(command))).toBe(expression.test(command));
    }),
  );
});

test("the tool of a rule is what stands before the bracket", () => {
  expect([toolOf("Bash(git *)"), toolOf("Read")]).toEqual(["Bash", "Read"]);
});
