import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** What decides where the service is. */
export interface ConnectionOptions {
  readonly url?: string;
  readonly token?: string;
  /** The service's data directory on this machine. Default: AGENT_MANAGER_HOME, then ~/.agent-manager. */
  readonly dataDir?: string;
}

/** Where the service is, and how that is known. */
export interface Connection {
  readonly url: string;
  /** Empty if none was found. */
  readonly token: string;
  readonly dataDir: string;
  /** "dataDir": the running server's own file; "default": nothing said where it is. */
  readonly urlSource: "option" | "environment" | "dataDir" | "default";
  readonly tokenSource: "option" | "environment" | "dataDir" | "none";
}

/** The address of a service that nothing else is said about. */
const defaultUrl = "http://127.0.0.1:7717";

/**
 * Finds the service. Address: option, AGENT_MANAGER_URL, `<data-dir>/server.json`, `http://127.0.0.1:7717`. Token:
 * option, AGENT_MANAGER_TOKEN, `<data-dir>/token`. Only looks, calls nobody.
 */
export function findConnection(
  options: ConnectionOptions = {},
  env: Readonly<Record<string, string | undefined>> = process.env,
): Connection {
  const dataDir = resolve(options.dataDir ?? (env.AGENT_MANAGER_HOME || join(homedir(), ".agent-manager")));
  return { dataDir, ...findUrl(options, env, dataDir), ...findToken(options, env, dataDir) };
}

function findUrl(
  options: ConnectionOptions,
  env: Readonly<Record<string, string | undefined>>,
  dataDir: string,
): Pick<Connection, "url" | "urlSource"> {
  if (options.url !== undefined) {
    return { url: options.url, urlSource: "option" };
  }
  if (env.AGENT_MANAGER_URL) {
    return { url: env.AGENT_MANAGER_URL, urlSource: "environment" };
  }
  const url = urlIn(readIfThere(join(dataDir, "server.json")));
  return url === undefined ? { url: defaultUrl, urlSource: "default" } : { url, urlSource: "dataDir" };
}

function findToken(
  options: ConnectionOptions,
  env: Readonly<Record<string, string | undefined>>,
  dataDir: string,
): Pick<Connection, "token" | "tokenSource"> {
  if (options.token !== undefined) {
    return { token: options.token, tokenSource: "option" };
  }
  if (env.AGENT_MANAGER_TOKEN) {
    return { token: env.AGENT_MANAGER_TOKEN, tokenSource: "environment" };
  }
  const token = readIfThere(join(dataDir, "token")).trim();
  return { token, tokenSource: token === "" ? "none" : "dataDir" };
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // absent or not ours: then the call says what is missing
  }
}

function urlIn(serverJson: string): string | undefined {
  try {
    const value: unknown = JSON.parse(serverJson);
    const url = typeof value === "object" && value !== null && "url" in value ? value.url : undefined;
    return typeof url === "string" ? url : undefined;
  } catch {
    return undefined; // empty, or read while it was being written
  }
}
