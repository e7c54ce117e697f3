import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const files = {
  "package.json": `${JSON.stringify({ name: "demo", private: true, type: "module" }, undefined, 2)}\n`,
  "src/sum.mjs": `export function sum(numbers) {
  let total = 1;
  for (const number of numbers) {
    total += number;
  }
  return total;
}
`,
  "test/sum.test.mjs": `import assert from "node:assert/strict";
import { test } from "node:test";
import { sum } from "../src/sum.mjs";

test("the sum of 1, 2 and 3 is 6", () => {
  assert.equal(sum([1, 2, 3]), 6);
});
`,
};

/** Whether git can be called. */
export function gitInstalled() {
  return spawnSync("git", ["--version"], { stdio: "ignore" }).status === 0;
}

/** Makes a small repository whose test fails. */
export function makeProject(folder) {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  // The identity is given here: a fresh machine has none, and the person's own is none of the demo's business.
  const identity = ["-c", "user.name=demo", "-c", "user.email=demo@example.com", "-c", "commit.gpgsign=false"];
  const git = (...args) => execFileSync("git", [...identity, ...args], { cwd: folder, stdio: "ignore" });
  git("init", "--quiet");
  git("add", "--all");
  git("commit", "--quiet", "--message", "A sum that is not quite right");
}

/** Runs the project's test; says whether it passes, with the lines worth reading. */
export function runTests(folder) {
  const env = { ...process.env };
  delete env.NODE_TEST_CONTEXT; // a test runner that runs this demo would take our test for its own
  const { status, stdout } = spawnSync(process.execPath, ["--test", "--test-reporter=spec"], {
    cwd: folder,
    env,
    encoding: "utf8",
  });
  const telling = /^\s*(✔|✖ the|\d+ !== \d+)|^ℹ (pass|fail) /;
  const lines = stdout.split("\n").filter((line) => telling.test(line));
  return { passed: status === 0, lines: [...new Set(lines.map((line) => line.trim()))] };
}
