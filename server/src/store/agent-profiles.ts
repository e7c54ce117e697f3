import { type AgentProfile, AgentProfileSchema, type RunConfig, RunConfigSchema } from "@agent-manager/sdk/proto";
import { create, toJsonString } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Selectable, sql } from "kysely";
import { etagOf, versionOf } from "../domain/etag.js";
import { newId } from "../domain/ids.js";
import { messageFromJson } from "./json.js";
import { openPage, type Page, type PageRequest } from "./pages.js";
import type { AgentProfileTable, Db, Tx } from "./schema.js";

/** As stored: its config is always set. */
export type StoredAgentProfile = AgentProfile & { readonly config: RunConfig };

/** What people decide about a profile, apart from its key. */
export interface AgentProfileContent {
  readonly displayName: string;
  readonly description: string;
  readonly config: RunConfig;
}

export interface NewAgentProfile extends AgentProfileContent {
  readonly key: string;
}

/** Undefined if the key is taken. */
export async function insertAgentProfile(tx: Tx, profile: NewAgentProfile): Promise<StoredAgentProfile | undefined> {
  const row = await tx
    .insertInto("agent_profile")
    .values(newRow(profile))
    .onConflict((conflict) => conflict.column("key").doNothing())
    .returningAll()
    .executeTakeFirst();
  return row && profileOf(row);
}

export interface EnsuredAgentProfile {
  readonly profile: AgentProfile;
  readonly created: boolean;
}

/** One upsert by key that writes nothing if the stored profile is equal. */
export async function ensureAgentProfile(db: Db, profile: NewAgentProfile): Promise<EnsuredAgentProfile> {
  const values = newRow(profile);
  for (;;) {
    const written = await db
      .insertInto("agent_profile")
      .values(values)
      .onConflict((conflict) =>
        conflict
          .column("key")
          .doUpdateSet((eb) => ({
            update_time: eb.ref("excluded.update_time"),
            version: eb("agent_profile.version", "+", 1),
            display_name: eb.ref("excluded.display_name"),
            description: eb.ref("excluded.description"),
            config: sql<string>`excluded.config`,
          }))
          .where(
            sql<boolean>`(agent_profile.display_name, agent_profile.description, agent_profile.config)
              is distinct from (excluded.display_name, excluded.description, excluded.config)`,
          ),
      )
      .returningAll()
      .executeTakeFirst();
    if (written !== undefined) {
      return { profile: profileOf(written), created: written.profile_id === values.profile_id };
    }
    const equal = await findAgentProfile(db, { key: profile.key });
    if (equal !== undefined) {
      return { profile: equal, created: false };
    }
    // deleted between the two statements: create it again
  }
}

/** One of the names of a profile. */
export type AgentProfileName = { readonly profileId: string } | { readonly key: string };

export async function findAgentProfile(db: Db, name: AgentProfileName): Promise<StoredAgentProfile | undefined> {
  const all = db.selectFrom("agent_profile").selectAll();
  const query = "key" in name ? all.where("key", "=", name.key) : all.where("profile_id", "=", name.profileId);
  const row = await query.executeTakeFirst();
  return row && profileOf(row);
}

/** Newest first. */
export async function listAgentProfiles(db: Db, request: PageRequest): Promise<Page<AgentProfile>> {
  const page = openPage({ list: "agent_profile", pageSize: request.pageSize, pageToken: request.pageToken });
  let query = db.selectFrom("agent_profile").selectAll().orderBy("profile_id", "desc").limit(page.limit);
  if (page.before !== undefined) {
    query = query.where("profile_id", "<", page.before);
  }
  const profiles = (await query.execute()).map(profileOf);
  return page.pageOf(profiles, ({ profileId }) => profileId);
}

export interface AgentProfileChange {
  readonly profileId: string;
  /** Of the profile that the change was decided on. */
  readonly etag: string;
  readonly content: AgentProfileContent;
}

/** Undefined if the profile has changed since. */
export async function updateAgentProfile(tx: Tx, change: AgentProfileChange): Promise<StoredAgentProfile | undefined> {
  const version = versionOf(change.etag);
  const row = await tx
    .updateTable("agent_profile")
    .set({ ...contentColumns(change.content), update_time: new Date(), version: version + 1 })
    .where("profile_id", "=", change.profileId)
    .where("version", "=", version)
    .returningAll()
    .executeTakeFirst();
  return row && profileOf(row);
}

/** False if the profile has changed since. */
export async function deleteAgentProfile(db: Db, { profileId, etag }: AgentProfile): Promise<boolean> {
  const ours = db.deleteFrom("agent_profile").where("profile_id", "=", profileId);
  const query = ours.where("version", "=", versionOf(etag));
  return (await query.executeTakeFirst()).numDeletedRows === 1n;
}

function newRow(profile: NewAgentProfile) {
  const now = new Date();
  const columns = contentColumns(profile);
  return { profile_id: newId(), create_time: now, update_time: now, key: profile.key, ...columns };
}

function contentColumns({ displayName, description, config }: AgentProfileContent) {
  return { display_name: displayName, description, config: toJsonString(RunConfigSchema, config) };
}

function profileOf(row: Selectable<AgentProfileTable>): StoredAgentProfile {
  const config = messageFromJson(RunConfigSchema, row.config);
  const profile = create(AgentProfileSchema, {
    profileId: row.profile_id,
    createTime: timestampFromDate(row.create_time),
    updateTime: timestampFromDate(row.update_time),
    key: row.key,
    displayName: row.display_name,
    description: row.description,
    etag: etagOf(row.version),
  });
  return Object.assign(profile, { config });
}
