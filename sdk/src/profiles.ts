import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Call, type CallOptions, expectField, requestIdOf, type WriteOptions } from "./call.js";
import type { Clients } from "./clients.js";
import type { AgentProfile } from "./gen/agent_manager/v1/agent_profile_pb.js";
import type { RunConfigSchema } from "./gen/agent_manager/v1/run_config_pb.js";
import { isUuid, maskOf } from "./names.js";
import { eachItem } from "./pages.js";

/** How a run is executed; a field that is left out says nothing. See `RunConfig` for units and defaults. */
export type RunConfigInit = MessageInitShape<typeof RunConfigSchema>;

/** What can be changed of a profile. */
export interface ProfileChanges {
  /** A title for people. Default: the key. */
  readonly displayName?: string;
  readonly description?: string;
  /** Replaces the whole configuration, unless `updateMask` says less. */
  readonly config?: RunConfigInit;
}

/** A profile to create. */
export interface ProfileInit extends ProfileChanges {
  /** The profile's name in requests, for example "fixer": lower case letters, digits and `._-`, unique. */
  readonly key: string;
}

/** Options of an edit. */
export interface EditOptions extends WriteOptions {
  /** Fails with ETAG_MISMATCH (`ConflictError`) if the stored one is another. */
  readonly etag?: string;
  /** The fields to change, for example ["config.model"]. Default: the fields given. */
  readonly updateMask?: readonly string[];
}

/** Options of a deletion. */
export interface DeleteOptions extends CallOptions {
  /** Fails with ETAG_MISMATCH (`ConflictError`) if the stored one is another. */
  readonly etag?: string;
  /** Makes deleting something absent succeed. Default: false. */
  readonly allowMissing?: boolean;
}

/** Options of a list. */
export interface ListOptions extends CallOptions {
  /** Items fetched at a time, at most 500. Default: 50. */
  readonly pageSize?: number;
}

/** The named ways of running an agent. */
export class Profiles {
  readonly #clients: Clients;
  readonly #call: Call;

  constructor(clients: Clients, call: Call) {
    this.#clients = clients;
    this.#call = call;
  }

  /** Creates a profile. Throws `AlreadyExistsError` (PROFILE_KEY_TAKEN) if the key is taken. */
  async create(profile: ProfileInit, options?: WriteOptions): Promise<AgentProfile> {
    const request = { profile, requestId: requestIdOf(options) };
    const answer = await this.#call((rpc) => this.#clients.profiles.createAgentProfile(request, rpc), options);
    return expectField(answer.profile, "profile");
  }

  /** Returns a profile by id or key. Throws `NotFoundError` (PROFILE_NOT_FOUND). */
  async get(idOrKey: string, options?: CallOptions): Promise<AgentProfile> {
    const name = isUuid(idOrKey)
      ? ({ case: "profileId", value: idOrKey } as const)
      : ({ case: "key", value: idOrKey } as const);
    const answer = await this.#call((rpc) => this.#clients.profiles.getAgentProfile({ name }, rpc), options);
    return expectField(answer.profile, "profile");
  }

  /** Yields all profiles, newest first. */
  list(options: ListOptions = {}): AsyncIterable<AgentProfile> {
    return eachItem(async (pageToken) => {
      const request = { pageToken, pageSize: options.pageSize ?? 0 };
      const page = await this.#call((rpc) => this.#clients.profiles.listAgentProfiles(request, rpc), options);
      return { items: page.profiles, nextPageToken: page.nextPageToken };
    });
  }

  /** Changes the given fields, all in one step. Throws `NotFoundError` or `ConflictError` (ETAG_MISMATCH). */
  async update(profileId: string, changes: ProfileChanges, options?: EditOptions): Promise<AgentProfile> {
    const request = {
      profile: { ...changes, profileId, etag: options?.etag ?? "" },
      updateMask: maskOf(changes, options?.updateMask),
      requestId: requestIdOf(options),
    };
    const answer = await this.#call((rpc) => this.#clients.profiles.updateAgentProfile(request, rpc), options);
    return expectField(answer.profile, "profile");
  }

  /** Deletes a profile. Runs that used it keep their configuration. */
  async delete(profileId: string, options?: DeleteOptions): Promise<void> {
    await this.#call(
      (rpc, attempt) =>
        this.#clients.profiles.deleteAgentProfile(
          // A repeated attempt may find that the first one, whose answer was lost, has done it.
          { profileId, etag: options?.etag ?? "", allowMissing: options?.allowMissing === true || attempt > 1 },
          rpc,
        ),
      options,
    );
  }

  /**
   * Creates the profile, or makes the stored one with this key equal to it, in one step; does nothing if it is equal
   * already. For programs that bring their own profiles at start.
   */
  async ensure(
    profile: ProfileInit,
    options?: CallOptions,
  ): Promise<{ readonly profile: AgentProfile; readonly created: boolean }> {
    const answer = await this.#call((rpc) => this.#clients.profiles.ensureAgentProfile({ profile }, rpc), options);
    return { profile: expectField(answer.profile, "profile"), created: answer.created };
  }
}
