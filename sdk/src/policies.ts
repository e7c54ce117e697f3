import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Call, type CallOptions, expectField, requestIdOf, type WriteOptions } from "./call.js";
import type { Clients } from "./clients.js";
import type { Policy, PolicyRulesSchema, PolicySelectorSchema } from "./gen/agent_manager/v1/policy_pb.js";
import { maskOf } from "./names.js";
import { eachItem } from "./pages.js";
import type { DeleteOptions, EditOptions, ListOptions } from "./profiles.js";

/** What can be changed of a policy. */
export interface PolicyChanges {
  readonly name?: string;
  readonly description?: string;
  /** The higher one decides where neither strictness nor limits do. Default: 0. */
  readonly priority?: number;
  /** Default: false: a policy does nothing until it is enabled. */
  readonly enabled?: boolean;
  /** Which runs it is about. Default: all. */
  readonly selector?: MessageInitShape<typeof PolicySelectorSchema>;
  /** What it says. */
  readonly rules?: MessageInitShape<typeof PolicyRulesSchema>;
}

/** A policy to create. */
export interface PolicyInit extends PolicyChanges {
  /** Unique in the service. */
  readonly name: string;
}

/** What is allowed. */
export class Policies {
  readonly #clients: Clients;
  readonly #call: Call;

  constructor(clients: Clients, call: Call) {
    this.#clients = clients;
    this.#call = call;
  }

  /** Creates a policy. Throws `AlreadyExistsError` (POLICY_NAME_TAKEN) if the name is taken. */
  async create(policy: PolicyInit, options?: WriteOptions): Promise<Policy> {
    const request = { policy, requestId: requestIdOf(options) };
    const answer = await this.#call((rpc) => this.#clients.policies.createPolicy(request, rpc), options);
    return expectField(answer.policy, "policy");
  }

  /** Returns a policy. Throws `NotFoundError` (POLICY_NOT_FOUND). */
  async get(policyId: string, options?: CallOptions): Promise<Policy> {
    const answer = await this.#call((rpc) => this.#clients.policies.getPolicy({ policyId }, rpc), options);
    return expectField(answer.policy, "policy");
  }

  /** Yields all policies. */
  list(options: ListOptions = {}): AsyncIterable<Policy> {
    return eachItem(async (pageToken) => {
      const request = { pageToken, pageSize: options.pageSize ?? 0 };
      const page = await this.#call((rpc) => this.#clients.policies.listPolicies(request, rpc), options);
      return { items: page.policies, nextPageToken: page.nextPageToken };
    });
  }

  /** Changes the given fields, all in one step. Throws `NotFoundError` or `ConflictError` (ETAG_MISMATCH). */
  async update(policyId: string, changes: PolicyChanges, options?: EditOptions): Promise<Policy> {
    const request = {
      policy: { ...changes, policyId, etag: options?.etag ?? "" },
      updateMask: maskOf(changes, options?.updateMask),
      requestId: requestIdOf(options),
    };
    const answer = await this.#call((rpc) => this.#clients.policies.updatePolicy(request, rpc), options);
    return expectField(answer.policy, "policy");
  }

  /** Deletes a policy. */
  async delete(policyId: string, options?: DeleteOptions): Promise<void> {
    await this.#call(
      (rpc, attempt) =>
        this.#clients.policies.deletePolicy(
          // A repeated attempt may find that the first one, whose answer was lost, has done it.
          { policyId, etag: options?.etag ?? "", allowMissing: options?.allowMissing === true || attempt > 1 },
          rpc,
        ),
      options,
    );
  }
}
