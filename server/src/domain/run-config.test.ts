import { ConfigSource_Kind, NetworkMode, PermissionMode, RunConfigSchema, RunMode } from "@agent-manager/sdk/proto";
import { create, isFieldSet, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { checkRunConfig, resolveRunConfig } from "./run-config.js";

function config(init: MessageInitShape<typeof RunConfigSchema>) {
  return create(RunConfigSchema, init);
}

const profile = { kind: ConfigSource_Kind.PROFILE, sourceId: "p" };
const override = { kind: ConfigSource_Kind.OVERRIDE, sourceId: "" };

describe("a resolved configuration", () => {
  test("has no field unset, and says of each where it came from", () => {
    const { config: resolved, sources } = resolveRunConfig([]);
    for (const field of RunConfigSchema.fields) expect(isFieldSet(resolved, field), field.name).toBe(true);
    expect(sources.map(({ field }) => field)).toEqual(RunConfigSchema.fields.map(({ name }) => name));
    expect(new Set(sources.map(({ kind }) => kind))).toEqual(new Set([ConfigSource_Kind.DEFAULT]));
  });

  test("takes overrides before the profile before the default", () => {
    const { config: resolved, sources } = resolveRunConfig([
      { ...profile, config: config({ model: "from-profile", maxTurns: 7 }) },
      { ...override, config: config({ model: "from-request" }) },
    ]);
    expect(resolved).toMatchObject({ model: "from-request", maxTurns: 7, timeoutMs: 3_600_000 });
    const source = (name: string) => sources.find(({ field }) => field === name);
    expect(source("model")).toMatchObject({ kind: ConfigSource_Kind.OVERRIDE });
    expect(source("max_turns")).toMatchObject({ kind: ConfigSource_Kind.PROFILE, sourceId: "p" });
    expect(source("timeout_ms")).toMatchObject({ kind: ConfigSource_Kind.DEFAULT });
  });

  test("lets an override set a value back to zero", () => {
    const { config: resolved } = resolveRunConfig([
      { ...profile, config: config({ maxTurns: 7, projectSettings: true, tools: { allowed: ["Bash"] } }) },
      { ...override, config: config({ maxTurns: 0, projectSettings: false, tools: {} }) },
    ]);
    expect(resolved).toMatchObject({ maxTurns: 0, projectSettings: false, tools: { allowed: [] } });
  });
});

describe("what cannot be enforced yet is refused with the field:", () => {
  test.each([
    ["run_mode", { runMode: RunMode.IN_PLACE }],
    ["network.mode", { network: { mode: NetworkMode.NONE } }],
    ["paths", { paths: { protected: ["secrets/**"] } }],
    ["budget.tokens", { budget: { tokens: 1n } }],
    ["input_timeout_ms", { inputTimeoutMs: 1 }],
    ["fallback_runners", { fallbackRunners: { values: ["codex"] } }],
  ])("%s", (field, init) => {
    const { config: resolved } = resolveRunConfig([{ ...override, config: config(init) }]);
    expect(() => checkRunConfig(resolved)).toThrow(
      expect.objectContaining({ reason: "RUN_CONFIG_INVALID", values: expect.objectContaining({ field }) }),
    );
  });

  test("while what can be is taken", () => {
    const init = { permissionMode: PermissionMode.READ_ONLY, maxTurns: 3, budget: { costUsd: 1.5 } };
    expect(() => checkRunConfig(resolveRunConfig([{ ...override, config: config(init) }]).config)).not.toThrow();
  });
});
