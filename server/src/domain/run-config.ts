import {
  ApprovalMode,
  type ConfigSource,
  ConfigSource_Kind,
  ConfigSourceSchema,
  ModelPreset,
  NetworkMode,
  PermissionMode,
  type RunConfig,
  RunConfigSchema,
  RunMode,
} from "@agent-manager/sdk/proto";
import { create, isFieldSet } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { DomainError } from "./errors.js";

const HOUR_MS = 3_600_000;

/** What holds where nobody says otherwise. Every field is set. */
export function defaultRunConfig(): RunConfig {
  return create(RunConfigSchema, {
    runner: "claude-code",
    model: "",
    preset: ModelPreset.UNSPECIFIED,
    maxTurns: 0,
    timeoutMs: HOUR_MS,
    inactivityTimeoutMs: HOUR_MS / 4,
    fallbackRunners: {},
    tools: {},
    permissionMode: PermissionMode.ACCEPT_EDITS,
    runMode: RunMode.SANDBOXED,
    approval: ApprovalMode.REQUIRED,
    paths: {},
    network: { mode: NetworkMode.OPEN },
    environment: {},
    appendSystemPrompt: "",
    mcpServers: {},
    budget: {},
    sandbox: { retentionMs: 24 * HOUR_MS },
    inputTimeoutMs: 0,
    projectSettings: false,
  });
}

export interface ConfigLayer {
  readonly kind: ConfigSource_Kind;
  /** The id of the profile or policy; empty otherwise. */
  readonly sourceId: string;
  readonly config: RunConfig | undefined;
}

export interface ResolvedConfig {
  readonly config: RunConfig;
  readonly sources: readonly ConfigSource[];
}

/** Lays the layers over the defaults, later ones over earlier ones, and says where each value came from. */
export function resolveRunConfig(layers: readonly ConfigLayer[]): ResolvedConfig {
  const resolved = defaultRunConfig();
  const fields = reflect(RunConfigSchema, resolved); // a view: setting a field sets it in `resolved`
  const sources = new Map<string, Omit<ConfigLayer, "config">>();
  for (const { config, ...source } of layers) {
    if (!config) continue;
    const layer = reflect(RunConfigSchema, config);
    for (const field of RunConfigSchema.fields) {
      if (!isFieldSet(config, field)) continue;
      fields.set(field, layer.get(field));
      sources.set(field.name, source);
    }
  }
  return { config: resolved, sources: RunConfigSchema.fields.map(({ name }) => nameSource(name, sources)) };
}

/** Refuses what no server can do yet, so that nobody believes in a limit that is not enforced. */
export function checkRunConfig(config: RunConfig): void {
  const refuse = (field: string, problem: string) => {
    throw new DomainError("RUN_CONFIG_INVALID", { field, problem });
  };
  if (config.runMode === RunMode.IN_PLACE) refuse("run_mode", "runs in place are not implemented yet; use SANDBOXED");
  if (config.network?.mode === NetworkMode.NONE || config.network?.mode === NetworkMode.DOMAINS) {
    refuse("network.mode", "restricting the network is not implemented yet; use OPEN");
  }
  if ((config.paths?.writable.length ?? 0) + (config.paths?.protected.length ?? 0) > 0) {
    refuse("paths", "path rules are not implemented yet; leave them out");
  }
  if ((config.budget?.tokens ?? 0n) > 0n) {
    refuse("budget.tokens", "a limit of tokens is not implemented yet; use budget.cost_usd");
  }
  if ((config.inputTimeoutMs ?? 0) > 0) {
    refuse(
      "input_timeout_ms",
      "answering permission requests is not implemented yet; leave it 0, which denies at once",
    );
  }
  if ((config.fallbackRunners?.values.length ?? 0) > 0) {
    refuse("fallback_runners", "fallback is not implemented yet; leave it out");
  }
}

function nameSource(field: string, sources: ReadonlyMap<string, Omit<ConfigLayer, "config">>): ConfigSource {
  const source = sources.get(field) ?? { kind: ConfigSource_Kind.DEFAULT, sourceId: "" };
  return create(ConfigSourceSchema, { field, ...source });
}
