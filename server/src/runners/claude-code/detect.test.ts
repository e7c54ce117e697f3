import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AuthenticationState } from "@agent-manager/sdk/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { detect } from "./detect.js";

let home = "";

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "detect-"));
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

const node = (code: string): readonly [string, ...string[]] => [process.execPath, "-e", code, "--"];

test("a program that tells its version is installed", async () => {
  const command = node('console.log(process.argv[1], "2.1.300-beta.1 (Claude Code)")');
  expect(await detect({ command, environment: { HOME: home } })).toMatchObject({
    installed: true,
    version: "2.1.300-beta.1",
    problem: process.platform === "linux" ? expect.stringMatching(/not signed in/) : expect.any(String),
  });
});

test.each([
  ["is not there", ["/no/such/claude"]],
  ["is no program", [tmpdir()]],
  ["fails", node('console.error("broken"); process.exit(3)')],
  ["tells no version", node('console.log("hello")')],
  ["floods", node('process.stdout.write("x".repeat(1_000_000))')],
] as const)("a program that %s is a problem with a hint, not an exception", async (_name, command) => {
  const detection = await detect({ command, environment: { HOME: home } });
  expect(detection).toMatchObject({ installed: false, version: "", problem: expect.stringMatching(/npm install -g/) });
});

test("a caller that gives up ends the wait", async () => {
  const command = node("setTimeout(() => {}, 60000)");
  const started = Date.now();
  const detection = await detect({ command, environment: { HOME: home }, signal: AbortSignal.timeout(200) });
  expect(detection.installed).toBe(false);
  expect(Date.now() - started).toBeLessThan(5_000);
});

test("a key or a credentials file counts as signed in", async () => {
  const command = node('console.log("2.1.0")');
  const withKey = await detect({ command, environment: { HOME: home, ANTHROPIC_API_KEY: "k" } });
  expect(withKey).toMatchObject({ authentication: AuthenticationState.SIGNED_IN, problem: "" });
  mkdirSync(join(home, ".claude"));
  writeFileSync(join(home, ".claude/.credentials.json"), "{}");
  const withFile = await detect({ command, environment: { HOME: home } });
  expect(withFile.authentication).toBe(AuthenticationState.SIGNED_IN);
});
