import {
  type AgentProfile,
  AgentProfileSchema,
  AgentProfileService,
  type CreateAgentProfileRequest,
  RunConfigSchema,
  type UpdateAgentProfileRequest,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { DomainError, invalidRequest } from "../domain/errors.js";
import { checkEtag } from "../domain/etag.js";
import {
  type AgentProfileContent,
  type AgentProfileName,
  deleteAgentProfile,
  ensureAgentProfile,
  findAgentProfile,
  insertAgentProfile,
  listAgentProfiles,
  type NewAgentProfile,
  updateAgentProfile,
} from "../store/agent-profiles.js";
import { answerOnce } from "../store/requests.js";
import type { Db, Tx } from "../store/schema.js";
import { applyFieldMask } from "./field-mask.js";
import { requireId } from "./required-id.js";

const METHODS = AgentProfileService.method;
const MUTABLE = ["display_name", "description", "config"];

export interface AgentProfileServiceOptions {
  readonly db: Db;
}

export function createAgentProfileService({ db }: AgentProfileServiceOptions): ServiceImpl<typeof AgentProfileService> {
  return {
    async createAgentProfile(request) {
      return answerOnce({ db, method: METHODS.createAgentProfile, request, run: (tx) => createProfile(tx, request) });
    },

    async getAgentProfile({ name }) {
      const wanted =
        name.case === "key" ? { key: name.value } : { profileId: requireId("profile_id", name.value ?? "") };
      return { profile: (await findAgentProfile(db, wanted)) ?? notFound(wanted) };
    },

    async listAgentProfiles(request) {
      const { items, nextPageToken } = await listAgentProfiles(db, request);
      return { profiles: [...items], nextPageToken };
    },

    async updateAgentProfile(request) {
      return answerOnce({ db, method: METHODS.updateAgentProfile, request, run: (tx) => updateProfile(tx, request) });
    },

    async deleteAgentProfile({ profileId, etag, allowMissing }) {
      for (;;) {
        const stored = await findAgentProfile(db, { profileId: requireId("profile_id", profileId) });
        if (stored === undefined) {
          return allowMissing ? {} : notFound({ profileId });
        }
        checkEtag({ kind: "profile", id: profileId, given: etag, stored: stored.etag });
        if (await deleteAgentProfile(db, stored)) {
          return {};
        }
      }
    },

    async ensureAgentProfile(request) {
      return ensureAgentProfile(db, newProfile(request.profile));
    },
  };
}

async function createProfile(tx: Tx, request: CreateAgentProfileRequest) {
  const wanted = newProfile(request.profile);
  const profile = await insertAgentProfile(tx, wanted);
  if (profile === undefined) {
    throw new DomainError("PROFILE_KEY_TAKEN", { key: wanted.key });
  }
  return create(METHODS.createAgentProfile.output, { profile });
}

async function updateProfile(tx: Tx, { profile: given, updateMask: mask }: UpdateAgentProfileRequest) {
  const profileId = requireId("profile.profile_id", given?.profileId ?? "");
  for (;;) {
    const stored = (await findAgentProfile(tx, { profileId })) ?? notFound({ profileId });
    checkEtag({ kind: "profile", id: profileId, given: given?.etag ?? "", stored: stored.etag });
    const wanted = applyFieldMask({
      schema: AgentProfileSchema,
      stored,
      given: given ?? stored,
      mask,
      mutable: MUTABLE,
      nested: ["config"],
    });
    const profile = await updateAgentProfile(tx, { profileId, etag: stored.etag, content: contentOf(wanted) });
    if (profile !== undefined) {
      return create(METHODS.updateAgentProfile.output, { profile });
    }
    // someone else's edit came in between: decide again on what it is now
  }
}

function newProfile(profile: AgentProfile | undefined): NewAgentProfile {
  if (profile === undefined || profile.key === "") {
    throw invalidRequest({ field: "profile.key", description: "must be set" });
  }
  return { key: profile.key, ...contentOf(profile) };
}

function contentOf({ key, displayName, description, config }: AgentProfile): AgentProfileContent {
  return { displayName: displayName || key, description, config: config ?? create(RunConfigSchema) };
}

function notFound(name: AgentProfileName): never {
  throw new DomainError("PROFILE_NOT_FOUND", "key" in name ? { key: name.key } : { profile_id: name.profileId });
}
