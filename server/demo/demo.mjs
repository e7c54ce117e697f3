#!/usr/bin/env node
// The whole pipeline in one command: a repository with a failing test, the service, an agent, the diff, the approval, and
// the test passing. Needs Node and git; with `--runner claude-code` also a signed-in `claude`.
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gitInstalled, makeProject, runTests } from "./demo-project.mjs";

const command = fileURLToPath(new URL("../bin/agent-manager.js", import.meta.url));
const scriptedAgent = fileURLToPath(new URL("scripted-agent.mjs", import.meta.url));
const prompt = "The test in test/ fails. Find out why, fix the code, and run the test again.";

const options = readOptions();
const folder = realpathSync(mkdtempSync(join(tmpdir(), "am-demo-")));
const project = join(folder, "project");
const dataDir = join(folder, "data");
const children = new Map();
let interrupted = false;

process.on("SIGINT", interrupt);
process.on("SIGTERM", interrupt);
try {
  process.exitCode = await demo();
} catch (error) {
  console.error(interrupted ? "interrupted" : `the demo failed: ${error.message}`);
  process.exitCode = interrupted ? 130 : 1;
} finally {
  await cleanUp();
}

async function demo() {
  const started = Date.now();
  step(`a small project with a failing test in ${project}`);
  makeProject(project);
  showTests();
  step("agent-manager serve, with a database of its own");
  await startServer();
  step(`agent-manager run "${prompt}" --yes`);
  const code = await runAgent();
  if (interrupted) return 130;
  if (code !== 0) throw new Error(`agent-manager run ended with exit code ${code}`);
  step("the same test, in the project");
  if (!showTests()) throw new Error("the test still fails");
  console.log(`\n✓ failing test, agent, diff, approval, passing test in ${seconds(started)}`);
  return 0;
}

function showTests() {
  const { passed, lines } = runTests(project);
  for (const line of lines) console.log(`  ${line}`);
  return passed;
}

async function startServer() {
  const started = Date.now();
  const log = openSync(join(folder, "server.log"), "a");
  const server = start("server", ["serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0"], ["ignore", log, log]);
  closeSync(log);
  while (!existsSync(join(dataDir, "server.json"))) {
    if (server.exitCode !== null || Date.now() - started > 30_000) {
      throw new Error(`the server did not start:\n${readFileSync(join(folder, "server.log"), "utf8").trim()}`);
    }
    if (interrupted) throw new Error("interrupted");
    await sleep(25);
  }
  const { url } = JSON.parse(readFileSync(join(dataDir, "server.json"), "utf8"));
  console.log(`  ready at ${url} in ${seconds(started)}`);
}

async function runAgent() {
  const flags = ["--project", project, "--runner", "claude-code", "--permission-mode", "full-auto", "--yes"];
  const run = start("run", ["run", prompt, "--data-dir", dataDir, ...flags], ["ignore", "inherit", "inherit"]);
  return await ended(run);
}

function start(name, args, stdio) {
  const env = { ...process.env };
  // The demo has a service and a database of its own, whatever is set here.
  for (const variable of ["AGENT_MANAGER_URL", "AGENT_MANAGER_TOKEN", "AGENT_MANAGER_HOME", "DATABASE_URL"]) {
    delete env[variable];
  }
  if (options.scripted) env.AGENT_MANAGER_RUNNER_CLAUDE_CODE_COMMAND = scriptedAgent;
  // A group of its own: Ctrl-C reaches the demo, which ends its children in order.
  const child = spawn(process.execPath, [command, ...args], { stdio, env, detached: true });
  children.set(name, child);
  return child;
}

/** The first Ctrl-C asks the run to stop, so that no agent is left behind; the server follows. */
function interrupt() {
  interrupted = true;
  process.exitCode = 130;
  children.get("run")?.kill("SIGINT");
}

async function cleanUp() {
  for (const name of ["run", "server"]) {
    const child = children.get(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGTERM");
    const killer = setTimeout(() => child.kill("SIGKILL"), 8_000);
    await ended(child);
    clearTimeout(killer);
  }
  if (options.keep) {
    console.log(`kept ${folder}`);
  } else {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function ended(child) {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode);
    else child.once("exit", resolve);
  });
}

function readOptions() {
  const usage = "usage: npm run demo -- [--runner scripted|claude-code] [--keep]";
  try {
    const { values } = parseArgs({
      options: { runner: { type: "string", default: "scripted" }, keep: { type: "boolean", default: false } },
    });
    if (!["scripted", "claude-code"].includes(values.runner)) throw new Error(`there is no runner "${values.runner}"`);
    if (!gitInstalled()) throw new Error("git is not installed, and the demo needs it: see https://git-scm.com");
    if (!existsSync(fileURLToPath(new URL("../dist/cli/main.js", import.meta.url)))) {
      throw new Error("agent-manager is not built yet: run `npm run build`");
    }
    return { scripted: values.runner === "scripted", keep: values.keep };
  } catch (error) {
    console.error(`${error.message}\n${usage}`);
    process.exit(2);
  }
}

function step(text) {
  console.log(`\n▸ ${text}`);
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
