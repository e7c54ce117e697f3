import { ModelPreset } from "@agent-manager/sdk/proto";

/** The model of each preset, as aliases that the program resolves to its latest model of that size. */
export const presetModels: Readonly<Partial<Record<ModelPreset, string>>> = {
  [ModelPreset.FAST]: "haiku",
  [ModelPreset.CHEAP]: "haiku",
  [ModelPreset.SMART]: "opus",
};

/** Models that the program is known to take: aliases first. Any other name is passed on as it is. */
export const knownModels: readonly string[] = [
  "haiku",
  "sonnet",
  "sonnet[1m]",
  "opus",
  "opus[1m]",
  "claude-haiku-4-5",
  "claude-sonnet-4-5",
  "claude-sonnet-5",
  "claude-opus-4-8",
];
