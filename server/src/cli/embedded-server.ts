import { spawn } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Connection, createAgentManager, findConnection, type HealthStatus } from "@agent-manager/sdk";
import { exitCodes } from "./exit-codes.js";
import { CommandError } from "./failure.js";
import type { Environment, GlobalOptions } from "./globals.js";

export interface EnsureServerRequest {
  readonly globals: GlobalOptions;
  readonly env: Environment;
  /** The program that serves. Default: this installation's own command. */
  readonly program?: string;
  /** How long to wait for it. Default: 30,000. */
  readonly timeoutMs?: number;
}

/** Where the service is. Explicit addresses and tokens are passed on; what a file says is left to the SDK. */
export interface ServerAddress {
  readonly dataDir: string;
  readonly url?: string;
  readonly token?: string;
  /** True if this call started it. */
  readonly started: boolean;
}

/**
 * Finds the service, or starts one for the data directory that serves on a free port and ends when nobody needs it.
 * An explicit address is taken as it is. Of two callers that start one at the same time one gets the directory's lock;
 * both use that one.
 */
export async function ensureServer(request: EnsureServerRequest): Promise<ServerAddress> {
  const connection = findConnection(request.globals, request.env);
  const known = { dataDir: connection.dataDir, ...explicit(connection) };
  // A server that is not ready yet is waited for by the calls themselves.
  if (isExplicit(connection) || (mayBeOurs(connection) && (await ask(connection)) !== undefined)) {
    return { ...known, started: false };
  }
  const started = await startAndWait(connection.dataDir, request);
  return { dataDir: connection.dataDir, ...tokenOf(connection), started };
}

function isExplicit(connection: Connection): boolean {
  return connection.urlSource === "option" || connection.urlSource === "environment";
}

/** A server on the default address serves another data directory, or ours would say so: it gets no token of ours. */
function mayBeOurs(connection: Connection): boolean {
  return (
    connection.urlSource === "dataDir" ||
    connection.tokenSource === "option" ||
    connection.tokenSource === "environment"
  );
}

function explicit(connection: Connection): { url?: string; token?: string } {
  return { ...(connection.urlSource === "dataDir" ? {} : { url: connection.url }), ...tokenOf(connection) };
}

function tokenOf(connection: Connection): { token?: string } {
  const given = connection.tokenSource === "option" || connection.tokenSource === "environment";
  return given ? { token: connection.token } : {};
}

interface StartedServer {
  readonly pid: number | undefined;
  /** False once it has ended. */
  readonly running: () => boolean;
  /** What it has written. */
  readonly output: () => string;
}

function startServer(dataDir: string, request: EnsureServerRequest): StartedServer {
  const logPath = join(dataDir, "server.log");
  const log = openLog(dataDir, logPath);
  const start = fstatSync(log).size;
  const program = request.program ?? fileURLToPath(new URL("../../bin/agent-manager.js", import.meta.url));
  const args = [program, "serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0", "--exit-when-idle", "30s"];
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: dataDir,
    env: { ...request.env },
  });
  closeSync(log);
  let running = true;
  child.on("exit", () => {
    running = false;
  });
  child.on("error", () => {
    running = false;
  });
  child.unref();
  return { pid: child.pid, running: () => running, output: () => readFileSync(logPath).subarray(start).toString() };
}

function openLog(dataDir: string, logPath: string): number {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    return openSync(logPath, "a", 0o600);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`the data directory ${dataDir} cannot be written (${why}); choose another with --data-dir`);
  }
}

/** Waits until some server of the data directory serves; true if it is the one this call started. */
async function startAndWait(dataDir: string, request: EnsureServerRequest): Promise<boolean> {
  const deadline = Date.now() + (request.timeoutMs ?? 30_000);
  let server = startServer(dataDir, request);
  while (Date.now() < deadline) {
    const connection = findConnection({ dataDir }, {});
    if (connection.urlSource === "dataDir" && (await ask(connection)) === "serving") {
      return serverPid(dataDir) === server.pid;
    }
    if (!server.running()) {
      if (!server.output().includes("another agent-manager server")) {
        throw new CommandError(`the server did not start:\n${tail(server.output())}`, exitCodes.unreachable);
      }
      // The holder of the directory's lock is about to serve, or about to end: then it is our turn.
      await sleep(1_000);
      server = startServer(dataDir, request);
    }
    await sleep(50);
  }
  throw new CommandError(
    `no server became ready for ${dataDir}; see ${join(dataDir, "server.log")}\n${tail(server.output())}`,
    exitCodes.unreachable,
  );
}

function serverPid(dataDir: string): unknown {
  const file: unknown = JSON.parse(readFileSync(join(dataDir, "server.json"), "utf8"));
  return typeof file === "object" && file !== null && "pid" in file ? file.pid : undefined;
}

/** Undefined if nobody answers in time. */
async function ask(connection: Connection): Promise<HealthStatus | undefined> {
  const am = createAgentManager({ url: connection.url, token: "" });
  try {
    return await am.health({ timeoutMs: 2_000 });
  } catch {
    return undefined;
  } finally {
    am.close();
  }
}

function tail(output: string): string {
  return output.trimEnd().split("\n").slice(-10).join("\n");
}
