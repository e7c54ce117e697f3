import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";

/** The flags of `agent-manager serve`, as the command parsed them. */
export interface ServeFlags {
  readonly listen?: string;
  readonly dataDir?: string;
  readonly databaseUrl?: string;
  readonly logLevel?: string;
  readonly exitWhenIdleMs?: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly allowOrigin?: readonly string[];
  readonly allowHost?: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;
export type ConfigSourceName = "flag" | "environment" | "file" | "default";

const list = z.union([z.array(z.string()), z.string().transform((text) => text.split(",").filter(Boolean))]);

/** The one schema: every setting with its type, limits and default. */
const schema = z.strictObject({
  listen: z.string().default("127.0.0.1:7717").transform(parseAddress),
  data_dir: z
    .string()
    .min(1)
    .transform((path) => resolve(path)),
  database_url: z.string().default(""),
  log_level: z.enum(["silent", "fatal", "error", "warn", "info", "debug", "trace"]).default("info"),
  allowed_hosts: list.default([]),
  allowed_origins: list.default([]),
  tls_cert: z.string().default(""),
  tls_key: z.string().default(""),
  exit_when_idle_ms: z.coerce.number().int().min(0).default(0),
  max_active_runs: z.coerce.number().int().min(1).max(10_000).default(16),
  stop_grace_ms: z.coerce.number().int().min(0).max(600_000).default(5_000),
  lease_ttl_ms: z.coerce.number().int().min(500).max(600_000).default(15_000),
  host_lost_ms: z.coerce.number().int().min(0).max(86_400_000).default(60_000),
  max_output_bytes: z.coerce
    .number()
    .int()
    .min(65_536)
    .default(4 * 1024 ** 3),
  disk_full_limit_ms: z.coerce.number().int().min(0).max(86_400_000).default(600_000),
  project_roots: list.default([]),
  runner_commands: z.record(z.string(), z.union([z.string(), z.array(z.string())])).default({}),
});

export type ServerConfig = z.output<typeof schema>;
type Setting = keyof ServerConfig;

export interface LoadedConfig {
  readonly config: ServerConfig;
  readonly sources: Readonly<Record<Setting, ConfigSourceName>>;
}

/** Settings that can be given in the environment. Runner programs have variables of their own. */
const environmentNames: Readonly<Partial<Record<Setting, string>>> = {
  listen: "AGENT_MANAGER_LISTEN",
  data_dir: "AGENT_MANAGER_HOME",
  database_url: "DATABASE_URL",
  log_level: "AGENT_MANAGER_LOG_LEVEL",
  allowed_hosts: "AGENT_MANAGER_ALLOWED_HOSTS",
  allowed_origins: "AGENT_MANAGER_ALLOWED_ORIGINS",
  tls_cert: "AGENT_MANAGER_TLS_CERT",
  tls_key: "AGENT_MANAGER_TLS_KEY",
  max_active_runs: "AGENT_MANAGER_MAX_ACTIVE_RUNS",
  stop_grace_ms: "AGENT_MANAGER_STOP_GRACE_MS",
  lease_ttl_ms: "AGENT_MANAGER_LEASE_TTL_MS",
  host_lost_ms: "AGENT_MANAGER_HOST_LOST_MS",
  max_output_bytes: "AGENT_MANAGER_MAX_OUTPUT_BYTES",
  disk_full_limit_ms: "AGENT_MANAGER_DISK_FULL_LIMIT_MS",
  project_roots: "AGENT_MANAGER_PROJECT_ROOTS",
};

class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/**
 * Reads the configuration: flags win over the environment, that over `<data-dir>/config.json`, that over the
 * defaults. Throws ConfigError naming every setting that is wrong.
 */
export function loadConfig(flags: ServeFlags, environment: Environment): LoadedConfig {
  const fromFlags = flagSettings(flags);
  const fromEnvironment = environmentSettings(environment);
  const dataDir = String(fromFlags.data_dir ?? fromEnvironment.data_dir ?? join(homedir(), ".agent-manager"));
  const fromFile = readConfigFile(join(dataDir, "config.json"));
  const parsed = schema.safeParse({ data_dir: dataDir, ...fromFile, ...fromEnvironment, ...fromFlags });
  if (!parsed.success) throw new ConfigError(describeIssues(parsed.error));
  return { config: parsed.data, sources: nameSources(parsed.data, { fromFlags, fromEnvironment, fromFile }) };
}

/** The effective configuration, one row per setting, secrets left out. */
export function describeConfig(loaded: LoadedConfig): { name: string; value: string; source: ConfigSourceName }[] {
  return Object.entries(loaded.config).map(([name, value]) => ({
    name,
    value: describeValue(name, value),
    // proven by nameSources, which walks the same keys
    source: loaded.sources[name as Setting],
  }));
}

function describeValue(name: string, value: unknown): string {
  if (name === "database_url") return String(value).replace(/\/\/([^:@/]*):[^@/]*@/, "//$1:***@");
  if (name === "listen") return formatAddress(value as ServerConfig["listen"]); // the schema made it
  return typeof value === "string" ? value : JSON.stringify(value);
}

function flagSettings(flags: ServeFlags): Record<string, unknown> {
  return defined({
    listen: flags.listen,
    data_dir: flags.dataDir,
    database_url: flags.databaseUrl,
    log_level: flags.logLevel,
    exit_when_idle_ms: flags.exitWhenIdleMs,
    tls_cert: flags.tlsCert,
    tls_key: flags.tlsKey,
    allowed_hosts: flags.allowHost,
    allowed_origins: flags.allowOrigin,
  });
}

function environmentSettings(environment: Environment): Record<string, unknown> {
  const pairs = Object.entries(environmentNames).map(([setting, name]) => [setting, environment[name] || undefined]);
  return defined({ ...Object.fromEntries(pairs) });
}

function readConfigFile(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {}; // no file: the defaults; an unreadable data directory is reported when it is opened
  }
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    throw new ConfigError(`${path} is not a JSON object; mend it or remove it`);
  }
}

function nameSources(
  config: ServerConfig,
  given: Record<"fromFlags" | "fromEnvironment" | "fromFile", Record<string, unknown>>,
): Record<Setting, ConfigSourceName> {
  const source = (name: string): ConfigSourceName => {
    if (name in given.fromFlags) return "flag";
    if (name in given.fromEnvironment) return "environment";
    return name in given.fromFile ? "file" : "default";
  };
  // Object.keys of a parsed object are the schema's keys
  return Object.fromEntries(Object.keys(config).map((name) => [name, source(name)])) as Record<
    Setting,
    ConfigSourceName
  >;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

function formatAddress({ host, port }: ListenAddress): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function parseAddress(text: string, context: z.RefinementCtx): ListenAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:\s]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match && port <= 65_535) return { host: match[1] ?? match[2] ?? "", port };
  context.addIssue({ code: "custom", message: `"${text}" is not HOST:PORT; for example 127.0.0.1:7717` });
  return z.NEVER;
}

function describeIssues(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join(".") || "configuration"}: ${issue.message}`).join("; ");
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
