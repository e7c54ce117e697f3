import {
  type Policy,
  type PolicyRules,
  PolicyRulesSchema,
  PolicySchema,
  type PolicySelector,
  PolicySelectorSchema,
} from "@agent-manager/sdk/proto";
import { create, type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Selectable } from "kysely";
import { etagOf, versionOf } from "../domain/etag.js";
import { newId } from "../domain/ids.js";
import { messageFromJson } from "./json.js";
import { openPage, type Page, type PageRequest } from "./pages.js";
import type { Db, PolicyTable, Tx } from "./schema.js";
import { isUniqueViolation } from "./violations.js";

/** What people decide about a policy. */
export interface PolicyContent {
  readonly name: string;
  readonly description: string;
  readonly priority: number;
  readonly enabled: boolean;
  readonly selector?: PolicySelector | undefined;
  readonly rules?: PolicyRules | undefined;
}

/** Undefined if the name is taken. */
export async function insertPolicy(tx: Tx, content: PolicyContent): Promise<Policy | undefined> {
  const now = new Date();
  const row = await tx
    .insertInto("policy")
    .values({ policy_id: newId(), create_time: now, update_time: now, ...contentColumns(content) })
    .onConflict((conflict) => conflict.column("name").doNothing())
    .returningAll()
    .executeTakeFirst();
  return row && policyOf(row);
}

export async function findPolicy(db: Db, policyId: string): Promise<Policy | undefined> {
  const row = await db.selectFrom("policy").selectAll().where("policy_id", "=", policyId).executeTakeFirst();
  return row && policyOf(row);
}

/** Newest first. */
export async function listPolicies(db: Db, request: PageRequest): Promise<Page<Policy>> {
  const page = openPage({ list: "policy", pageSize: request.pageSize, pageToken: request.pageToken });
  let query = db.selectFrom("policy").selectAll().orderBy("policy_id", "desc").limit(page.limit);
  if (page.before !== undefined) {
    query = query.where("policy_id", "<", page.before);
  }
  const policies = (await query.execute()).map(policyOf);
  return page.pageOf(policies, ({ policyId }) => policyId);
}

export interface PolicyChange {
  readonly policyId: string;
  /** Of the policy that the change was decided on. */
  readonly etag: string;
  readonly content: PolicyContent;
}

export type PolicyUpdate =
  | { readonly kind: "updated"; readonly policy: Policy }
  /** The policy has changed since. */
  | { readonly kind: "changed" }
  /** The transaction is spoilt by it. */
  | { readonly kind: "name taken" };

export async function updatePolicy(tx: Tx, { policyId, etag, content }: PolicyChange): Promise<PolicyUpdate> {
  const version = versionOf(etag);
  try {
    const row = await tx
      .updateTable("policy")
      .set({ ...contentColumns(content), update_time: new Date(), version: version + 1 })
      .where("policy_id", "=", policyId)
      .where("version", "=", version)
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? { kind: "changed" } : { kind: "updated", policy: policyOf(row) };
  } catch (error) {
    if (isUniqueViolation(error)) {
      return { kind: "name taken" };
    }
    throw error;
  }
}

/** False if the policy has changed since. */
export async function deletePolicy(db: Db, { policyId, etag }: Policy): Promise<boolean> {
  const query = db.deleteFrom("policy").where("policy_id", "=", policyId).where("version", "=", versionOf(etag));
  return (await query.executeTakeFirst()).numDeletedRows === 1n;
}

function contentColumns({ name, description, priority, enabled, selector, rules }: PolicyContent) {
  return {
    name,
    description,
    priority,
    enabled,
    selector: optionalToJson(PolicySelectorSchema, selector),
    rules: optionalToJson(PolicyRulesSchema, rules),
  };
}

function policyOf(row: Selectable<PolicyTable>): Policy {
  const policy = create(PolicySchema, {
    policyId: row.policy_id,
    createTime: timestampFromDate(row.create_time),
    updateTime: timestampFromDate(row.update_time),
    name: row.name,
    description: row.description,
    priority: row.priority,
    enabled: row.enabled,
    etag: etagOf(row.version),
  });
  if (row.selector !== null) {
    policy.selector = messageFromJson(PolicySelectorSchema, row.selector);
  }
  if (row.rules !== null) {
    policy.rules = messageFromJson(PolicyRulesSchema, row.rules);
  }
  return policy;
}

/** An unset message is JSON's null, which is not SQL's. */
function optionalToJson<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc> | undefined): string {
  return message === undefined ? "null" : toJsonString(schema, message);
}
