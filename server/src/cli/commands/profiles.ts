import { readFileSync } from "node:fs";
import type { AgentProfile, RunConfigInit } from "@agent-manager/sdk";
import { AgentProfileSchema, RunConfigSchema } from "@agent-manager/sdk/proto";
import { fromJsonString, toJson } from "@bufbuild/protobuf";
import type { Context } from "../context.js";
import { UsageError } from "../failure.js";
import { addConfigFlags, type ConfigFlags, configOf } from "../options.js";
import type { RegisterCommand } from "../register.js";
import { printTable } from "../table.js";
import { safeJson } from "../untrusted.js";
import { ago } from "../words.js";

interface EnsureFlags extends ConfigFlags {
  readonly displayName?: string;
  readonly description?: string;
  readonly configFile?: string;
}

export const addProfilesCommand: RegisterCommand = (program, withContext) => {
  const profiles = program.command("profiles").description("List and keep profiles: named ways of running an agent.");
  profiles.command("list", { isDefault: true }).description("List all profiles.").action(withContext(listProfiles));
  profiles
    .command("get <key>")
    .description("Show one profile, by key or id.")
    .action(
      withContext(async (context, key: string) => {
        const am = await context.connect();
        const profile = await am.profiles.get(key);
        am.close();
        printProfile(context, profile);
      }),
    );
  addConfigFlags(
    profiles
      .command("ensure <key>")
      .description("Create the profile, or make the stored one equal to this.")
      .option("--display-name <text>", "a title for people")
      .option("--description <text>", "what it is for")
      .option("--config-file <file>", "a RunConfig as JSON; flags win over it"),
  )
    .addHelpText(
      "after",
      "\nExample:\n  $ agent-manager profiles ensure fixer --runner claude-code --timeout 80m --max-turns 50",
    )
    .action(withContext(ensureProfile));
  profiles
    .command("delete <key>")
    .description("Delete a profile, by key or id. Runs that used it keep their configuration.")
    .action(
      withContext(async (context, key: string) => {
        const am = await context.connect();
        const { profileId } = await am.profiles.get(key);
        await am.profiles.delete(profileId, { allowMissing: true });
        am.close();
        context.terminal.note(`deleted profile ${key}`);
      }),
    );
};

async function listProfiles(context: Context): Promise<void> {
  const am = await context.connect();
  const rows: (readonly string[])[] = [];
  for await (const profile of am.profiles.list()) {
    if (context.globals.json) {
      context.printJson(toJson(AgentProfileSchema, profile));
    }
    const { key, config, description, updateTime } = profile;
    rows.push([key, config?.runner ?? "", config?.model ?? "", ago(updateTime), description]);
  }
  am.close();
  if (!context.globals.json) {
    printTable(context, ["KEY", "RUNNER", "MODEL", "CHANGED", "DESCRIPTION"], rows);
  }
}

async function ensureProfile(context: Context, key: string, flags: EnsureFlags): Promise<void> {
  const stored: RunConfigInit = flags.configFile === undefined ? {} : readConfig(flags.configFile);
  const config = Object.assign(stored, configOf(flags));
  const am = await context.connect();
  const { profile, created } = await am.profiles.ensure({
    key,
    config,
    ...(flags.displayName === undefined ? {} : { displayName: flags.displayName }),
    ...(flags.description === undefined ? {} : { description: flags.description }),
  });
  am.close();
  context.terminal.note(created ? `created profile ${key}` : `profile ${key} is as asked for`);
  if (context.globals.json) {
    printProfile(context, profile);
  }
}

function readConfig(path: string): RunConfigInit {
  try {
    return fromJsonString(RunConfigSchema, readFileSync(path, "utf8"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${path} is not a RunConfig in JSON: ${why}`);
  }
}

function printProfile(context: Context, profile: AgentProfile): void {
  const json = toJson(AgentProfileSchema, profile);
  if (context.globals.json) {
    context.printJson(json);
  } else {
    context.print(safeJson(JSON.stringify(json, undefined, 2)));
  }
}
