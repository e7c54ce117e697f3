import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type AgentManager, createAgentManager } from "@agent-manager/sdk";

const repository = fileURLToPath(new URL("../..", import.meta.url));
export const program = join(repository, "server/bin/agent-manager.js");
export const scriptedAgent = join(repository, "server/demo/scripted-agent.mjs");

export interface TestServer {
  readonly url: string;
  readonly token: string;
  readonly dataDir: string;
  readonly pid: number;
  /** A client of this server; closed with it. */
  readonly am: AgentManager;
  /** Everything that the server wrote so far. */
  output(): string;
  /** Ends the server and waits for its end. Default: SIGTERM. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface TestServerOptions {
  readonly dataDir: string;
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts the real command in a process of its own, with the scripted agent as claude-code. */
export async function startServer({ dataDir, args = [], environment = {} }: TestServerOptions): Promise<TestServer> {
  await rm(join(dataDir, "server.json"), { force: true });
  const child = spawn(process.execPath, [program, "serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0", ...args], {
    env: { ...testEnvironment(), ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const { url } = await readAddress(dataDir, child, () => output);
  const token = (await readFile(join(dataDir, "token"), "utf8")).trim();
  const am = createAgentManager({ url, token });
  return {
    url,
    token,
    dataDir,
    am,
    pid: child.pid ?? 0,
    output: () => output,
    stop: async (signal = "SIGTERM") => {
      am.close();
      return end(child, signal);
    },
  };
}

/** The environment of a server under test: nothing of the developer's own. */
export function testEnvironment(): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    HOME: "/nonexistent",
    AGENT_MANAGER_LOG_LEVEL: "warn",
    AGENT_MANAGER_RUNNER_CLAUDE_CODE_COMMAND: scriptedAgent,
  };
}

async function readAddress(dataDir: string, child: ChildProcess, output: () => string): Promise<{ url: string }> {
  for (let tries = 0; tries < 1_000; tries += 1) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the server ended: ${output()}`);
    try {
      return JSON.parse(await readFile(join(dataDir, "server.json"), "utf8"));
    } catch {
      await sleep(20);
    }
  }
  throw new Error(`the server did not start: ${output()}`);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  child.kill(signal);
  const [code] = (await once(child, "exit")) as [number | null];
  return code;
}

/** A folder that `remove` takes away with everything in it. */
export async function makeFolder(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "am-e2e-"));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A git repository with one commit of these files. */
export async function makeRepository(path: string, files: Readonly<Record<string, string>>): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(path, name, ".."), { recursive: true });
    await writeFile(join(path, name), content);
  }
  const git = (...args: string[]) =>
    promisify(execFile)("git", ["-C", path, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args]);
  await git("init", "-q");
  await git("add", "-A");
  await git("commit", "-qm", "Start");
  return path;
}
