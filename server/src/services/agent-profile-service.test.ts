import { AgentProfileService, ModelPreset, PermissionMode } from "@agent-manager/sdk/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { clientOf, refusalOf } from "../../../test/support/service-client.js";
import { createAgentProfileService } from "./agent-profile-service.js";

let database: TestDatabase;
let profiles: ReturnType<typeof connect>;
const connect = () => clientOf(AgentProfileService, createAgentProfileService({ db: database.db }));

beforeAll(async () => {
  database = await createTestDatabase();
  profiles = connect();
});
afterAll(() => database.drop());

const absent = "01890000-0000-7000-8000-000000000000";

async function createProfile(key: string, config = {}) {
  const { profile } = await profiles.createAgentProfile({ profile: { key, config } });
  return profile ?? expect.fail("no profile");
}

test("a created profile is found by id and by key, as it was given", async () => {
  const config = {
    runner: "claude-code",
    maxTurns: 0,
    preset: ModelPreset.FAST,
    tools: { allowed: ["Read"], denied: [] },
    budget: { costUsd: 0.25, tokens: 9_007_199_254_740_993n },
  };
  const created = await createProfile("whole", config);
  expect(created).toMatchObject({ key: "whole", displayName: "whole", config });
  expect((await profiles.getAgentProfile({ name: { case: "key", value: "whole" } })).profile).toEqual(created);
  const byId = await profiles.getAgentProfile({ name: { case: "profileId", value: created.profileId } });
  expect(byId.profile).toEqual(created);
});

test("creating needs a key, and one that is free", async () => {
  expect(await refusalOf(profiles.createAgentProfile({ profile: {} }))).toMatchObject({
    reason: "INVALID_REQUEST",
    field: "profile.key",
  });
  await createProfile("taken");
  const again = profiles.createAgentProfile({ profile: { key: "taken" } });
  expect(await refusalOf(again)).toMatchObject({ reason: "PROFILE_KEY_TAKEN", key: "taken" });
});

test("an unknown profile is refused by the name that was used", async () => {
  const byKey = profiles.getAgentProfile({ name: { case: "key", value: "nobody" } });
  expect(await refusalOf(byKey)).toMatchObject({ reason: "PROFILE_NOT_FOUND", key: "nobody" });
  const byId = profiles.getAgentProfile({ name: { case: "profileId", value: absent } });
  expect(await refusalOf(byId)).toMatchObject({ reason: "PROFILE_NOT_FOUND", profile_id: absent });
});

test("an update changes only what its mask names, down to a field of the config", async () => {
  const { profileId } = await createProfile("masked", { runner: "claude-code", maxTurns: 3 });
  const given = { profileId, displayName: "Other", description: "ignored", config: { maxTurns: 9 } };
  const { profile } = await profiles.updateAgentProfile({
    profile: given,
    updateMask: { paths: ["display_name", "config.max_turns", "config.permission_mode"] },
  });
  expect(profile).toMatchObject({ displayName: "Other", description: "" });
  expect(profile?.config).toMatchObject({ runner: "claude-code", maxTurns: 9 });
  expect(profile?.config?.permissionMode).toBeUndefined();
});

test("a field of the config that the mask names and the request leaves out is unset", async () => {
  const { profileId } = await createProfile("cleared", { permissionMode: PermissionMode.ASK, maxTurns: 3 });
  const updateMask = { paths: ["config.permission_mode"] };
  const { profile } = await profiles.updateAgentProfile({ profile: { profileId }, updateMask });
  expect(profile?.config?.permissionMode).toBeUndefined();
  expect(profile?.config?.maxTurns).toBe(3);
});

test("an update without a mask replaces everything that can be changed", async () => {
  const { profileId } = await createProfile("replaced", { runner: "codex" });
  const { profile } = await profiles.updateAgentProfile({ profile: { profileId, description: "new" } });
  expect(profile).toMatchObject({ key: "replaced", displayName: "replaced", description: "new" });
  expect(profile?.config?.runner).toBeUndefined();
});

test.each(["key", "profile_id", "etag", "nothing", "config.nothing", "config.tools.allowed", "displayName", ""])(
  "the mask path %o is refused by name",
  async (path) => {
    const profileId = absent;
    await createProfile(`mask-${path.replaceAll(/[^a-z]/g, "-").toLowerCase()}x`);
    const { profiles: all } = await profiles.listAgentProfiles({ pageSize: 1 });
    const call = profiles.updateAgentProfile({
      profile: { profileId: all[0]?.profileId ?? profileId },
      updateMask: { paths: ["description", path] },
    });
    expect(await refusalOf(call)).toMatchObject({ reason: "UPDATE_MASK_INVALID", path });
  },
);

test("an edit on an old etag is refused, and deleting too", async () => {
  const first = await createProfile("etag");
  const { profileId } = first;
  const edit = { profileId, description: "mine", etag: first.etag };
  const { profile: second } = await profiles.updateAgentProfile({ profile: edit });
  expect(second?.etag).not.toBe(first.etag);
  const refusal = { reason: "ETAG_MISMATCH", id: profileId, etag: second?.etag };
  expect(await refusalOf(profiles.updateAgentProfile({ profile: edit }))).toMatchObject(refusal);
  expect(await refusalOf(profiles.deleteAgentProfile({ profileId, etag: first.etag }))).toMatchObject(refusal);
  await profiles.deleteAgentProfile({ profileId, etag: second?.etag ?? "" });
});

test("of many edits on the same etag one wins; without etag all are applied", async () => {
  const { profileId, etag } = await createProfile("race");
  const edit = (description: string, given: string) =>
    refusalOf(
      profiles.updateAgentProfile({
        profile: { profileId, description, etag: given },
        updateMask: { paths: ["description"] },
      }),
    );
  const guarded = await Promise.all(["a", "b", "c", "d", "e"].map((text) => edit(text, etag)));
  expect(guarded.filter((refusal) => refusal === undefined)).toHaveLength(1);
  const free = await Promise.all(["a", "b", "c", "d", "e"].map((text) => edit(text, "")));
  expect(free.filter((refusal) => refusal !== undefined)).toEqual([]);
});

test("deleting an absent profile is refused unless that is allowed", async () => {
  const call = profiles.deleteAgentProfile({ profileId: absent });
  expect(await refusalOf(call)).toMatchObject({ reason: "PROFILE_NOT_FOUND", profile_id: absent });
  await profiles.deleteAgentProfile({ profileId: absent, allowMissing: true });
});

test("ensuring creates once, changes when different and does nothing when equal", async () => {
  const wanted = { key: "ensured", config: { runner: "codex", tools: { allowed: ["b", "a"] } } };
  const first = await profiles.ensureAgentProfile({ profile: wanted });
  expect(first.created).toBe(true);
  const same = await profiles.ensureAgentProfile({ profile: wanted });
  expect(same).toMatchObject({
    created: false,
    profile: { etag: first.profile?.etag, updateTime: first.profile?.updateTime },
  });
  const changed = await profiles.ensureAgentProfile({ profile: { ...wanted, description: "now" } });
  expect(changed).toMatchObject({
    created: false,
    profile: { profileId: first.profile?.profileId, description: "now" },
  });
  expect(changed.profile?.etag).not.toBe(first.profile?.etag);
});

test("20 programs that ensure the same profile at once get one profile, created once", async () => {
  const wanted = { key: "crowd", config: { runner: "codex" } };
  const answers = await Promise.all(Array.from({ length: 20 }, () => profiles.ensureAgentProfile({ profile: wanted })));
  expect(answers.filter(({ created }) => created)).toHaveLength(1);
  expect(new Set(answers.map(({ profile }) => `${profile?.profileId} ${profile?.etag}`)).size).toBe(1);
});

test("text that Postgres cannot hold is refused with its field", async () => {
  const nul = profiles.createAgentProfile({ profile: { key: "nul", description: "a\0b" } });
  expect(await refusalOf(nul)).toMatchObject({ reason: "INVALID_REQUEST", field: "profile.description" });
  const deep = { key: "nul", config: { mcpServers: { servers: { s: { args: ["ok", "\0"] } } } } };
  expect(await refusalOf(profiles.ensureAgentProfile({ profile: deep }))).toMatchObject({
    reason: "INVALID_REQUEST",
    field: 'profile.config.mcp_servers.servers["s"].args[1]',
  });
});

test("pages go newest first and cover the list once", async () => {
  const seen: string[] = [];
  for (let pageToken = ""; ; ) {
    const page = await profiles.listAgentProfiles({ pageSize: 4, pageToken });
    expect(page.profiles.length).toBeLessThanOrEqual(4);
    seen.push(...page.profiles.map(({ profileId }) => profileId));
    pageToken = page.nextPageToken;
    if (pageToken === "") {
      break;
    }
  }
  const { profiles: all } = await profiles.listAgentProfiles({});
  expect(seen).toEqual(all.map(({ profileId }) => profileId));
  expect(seen).toEqual([...seen].sort().reverse());
});
