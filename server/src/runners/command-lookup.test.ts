import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commandVariable, resolveRunnerCommand } from "./command-lookup.js";
import { runners } from "./registry.js";

const runner = { id: "claude-code", defaultProgram: "claude", installHint: "install it with: npm install" };
const variable = "AGENT_MANAGER_RUNNER_CLAUDE_CODE_COMMAND";
let folder = "";
let program = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lookup-"));
  mkdirSync(join(folder, "bin/claude-folder"), { recursive: true });
  program = join(folder, "bin/claude");
  writeFileSync(program, "");
  chmodSync(program, 0o755);
  writeFileSync(join(folder, "plain"), "");
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the program is looked up on the PATH", async () => {
  const PATH = `/nowhere::${folder}/bin`;
  expect(await resolveRunnerCommand(runner, { PATH })).toEqual({ kind: "found", command: [program] });
});

test("the variable names a path, or a program with arguments, spaces and all", async () => {
  expect(await resolveRunnerCommand(runner, { [variable]: program })).toEqual({ kind: "found", command: [program] });
  const parts = JSON.stringify([program, "a b", "--flag"]);
  expect(await resolveRunnerCommand(runner, { [variable]: parts })).toEqual({
    kind: "found",
    command: [program, "a b", "--flag"],
  });
});

test("the variable beats the configuration", async () => {
  const found = await resolveRunnerCommand(runner, { [variable]: program }, "/no/such");
  expect(found).toEqual({ kind: "found", command: [program] });
});

test.each(["/no/such/claude", "claude-folder", "plain", "[]", "[1]", "[oops", '[""]'])(
  "%s is missing, and the text says what to do",
  async (setting) => {
    const missing = await resolveRunnerCommand(runner, {
      [variable]: setting.replace("plain", join(folder, "plain")),
      PATH: join(folder, "bin"),
    });
    expect(missing).toMatchObject({ kind: "missing", problem: expect.stringContaining(variable) });
  },
);

test("without a PATH nothing is found", async () => {
  expect(await resolveRunnerCommand(runner, {})).toMatchObject({
    kind: "missing",
    problem: expect.stringContaining("npm install"),
  });
});

test("every runner of the registry stands under its own id and has a variable", () => {
  for (const [id, registered] of runners) {
    expect(registered.id).toBe(id);
    expect(commandVariable(id)).toMatch(/^AGENT_MANAGER_RUNNER_[A-Z0-9_]+_COMMAND$/);
  }
});
