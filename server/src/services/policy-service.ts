import {
  type CreatePolicyRequest,
  type Policy,
  PolicySchema,
  PolicyService,
  type UpdatePolicyRequest,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { DomainError, invalidRequest } from "../domain/errors.js";
import { checkEtag } from "../domain/etag.js";
import { deletePolicy, findPolicy, insertPolicy, listPolicies, updatePolicy } from "../store/policies.js";
import { answerOnce } from "../store/requests.js";
import type { Db, Tx } from "../store/schema.js";
import { applyFieldMask } from "./field-mask.js";
import { requireId } from "./required-id.js";

const METHODS = PolicyService.method;
const MUTABLE = ["name", "description", "priority", "enabled", "selector", "rules"];

export interface PolicyServiceOptions {
  readonly db: Db;
}

export function createPolicyService({ db }: PolicyServiceOptions): ServiceImpl<typeof PolicyService> {
  return {
    async createPolicy(request) {
      return answerOnce({ db, method: METHODS.createPolicy, request, run: (tx) => createPolicy(tx, request) });
    },

    async getPolicy({ policyId }) {
      return { policy: (await findPolicy(db, requireId("policy_id", policyId))) ?? notFound(policyId) };
    },

    async listPolicies(request) {
      const { items, nextPageToken } = await listPolicies(db, request);
      return { policies: [...items], nextPageToken };
    },

    async updatePolicy(request) {
      return answerOnce({ db, method: METHODS.updatePolicy, request, run: (tx) => changePolicy(tx, request) });
    },

    async deletePolicy({ policyId, etag, allowMissing }) {
      for (;;) {
        const stored = await findPolicy(db, requireId("policy_id", policyId));
        if (stored === undefined) {
          return allowMissing ? {} : notFound(policyId);
        }
        checkEtag({ kind: "policy", id: policyId, given: etag, stored: stored.etag });
        if (await deletePolicy(db, stored)) {
          return {};
        }
      }
    },

    evaluatePolicy() {
      throw new DomainError("NOT_IMPLEMENTED", { method: `${PolicyService.typeName}/EvaluatePolicy` });
    },
  };
}

async function createPolicy(tx: Tx, { policy: given }: CreatePolicyRequest) {
  const wanted = checkPolicy(given);
  const policy = await insertPolicy(tx, wanted);
  if (policy === undefined) {
    throw new DomainError("POLICY_NAME_TAKEN", { name: wanted.name });
  }
  return create(METHODS.createPolicy.output, { policy });
}

async function changePolicy(tx: Tx, { policy: given, updateMask: mask }: UpdatePolicyRequest) {
  const policyId = requireId("policy.policy_id", given?.policyId ?? "");
  for (;;) {
    const stored = (await findPolicy(tx, policyId)) ?? notFound(policyId);
    checkEtag({ kind: "policy", id: policyId, given: given?.etag ?? "", stored: stored.etag });
    const content = checkPolicy(
      applyFieldMask({ schema: PolicySchema, stored, given: given ?? stored, mask, mutable: MUTABLE }),
    );
    const update = await updatePolicy(tx, { policyId, etag: stored.etag, content });
    switch (update.kind) {
      case "updated":
        return create(METHODS.updatePolicy.output, { policy: update.policy });
      case "name taken":
        throw new DomainError("POLICY_NAME_TAKEN", { name: content.name });
      case "changed":
        break; // someone else's edit came in between: decide again on what it is now
      default:
        update satisfies never;
    }
  }
}

function checkPolicy(policy: Policy | undefined): Policy {
  if (policy === undefined || policy.name.trim() === "") {
    throw invalidRequest({ field: "policy.name", description: "must be set" });
  }
  return policy;
}

function notFound(policyId: string): never {
  throw new DomainError("POLICY_NOT_FOUND", { policy_id: policyId });
}
