import { PolicyService, ToolEffect } from "@agent-manager/sdk/proto";
import type { Client } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { clientOf, refusalOf } from "../../../test/support/service-client.js";
import { createPolicyService } from "./policy-service.js";

let database: TestDatabase;
let policies: Client<typeof PolicyService>;
const absent = "01890000-0000-7000-8000-000000000000";

beforeAll(async () => {
  database = await createTestDatabase();
  policies = clientOf(PolicyService, createPolicyService({ db: database.db }));
});
afterAll(() => database.drop());

async function createPolicy(name: string, more = {}) {
  const { policy } = await policies.createPolicy({ policy: { name, ...more } });
  return policy ?? expect.fail("no policy");
}

test("a created policy is found as it was given, and what was unset stays unset", async () => {
  const rules = {
    sandboxRequired: false,
    tools: [{ pattern: "Bash(git *)", effect: ToolEffect.ASK }],
    limits: { bytes: 9_007_199_254_740_993n },
    concurrency: [{ key: { case: "perLabel", value: "issue" }, maxRuns: 2 }],
  };
  const whole = await createPolicy("whole", { priority: -3, enabled: true, selector: { labels: { a: "b" } }, rules });
  expect(whole).toMatchObject({ priority: -3, enabled: true, selector: { labels: { a: "b" } }, rules });
  expect((await policies.getPolicy({ policyId: whole.policyId })).policy).toEqual(whole);
  const bare = await createPolicy("bare");
  expect(bare.selector).toBeUndefined();
  expect(bare.rules).toBeUndefined();
});

test("creating needs a name, and one that is free", async () => {
  const nameless = policies.createPolicy({ policy: {} });
  expect(await refusalOf(nameless)).toMatchObject({ reason: "INVALID_REQUEST", field: "policy.name" });
  await createPolicy("taken");
  const again = policies.createPolicy({ policy: { name: "taken" } });
  expect(await refusalOf(again)).toMatchObject({ reason: "POLICY_NAME_TAKEN", name: "taken" });
});

test("an update follows its mask, and a name that is taken is refused without a trace", async () => {
  const { policyId } = await createPolicy("one", { enabled: true, priority: 1 });
  await createPolicy("two");
  const { policy } = await policies.updatePolicy({
    policy: { policyId, priority: 5 },
    updateMask: { paths: ["priority"] },
  });
  expect(policy).toMatchObject({ name: "one", enabled: true, priority: 5 });
  const call = policies.updatePolicy({ policy: { policyId, name: "two" }, updateMask: { paths: ["name", "enabled"] } });
  expect(await refusalOf(call)).toMatchObject({ reason: "POLICY_NAME_TAKEN", name: "two" });
  expect((await policies.getPolicy({ policyId })).policy).toEqual(policy);
  const unnamed = policies.updatePolicy({ policy: { policyId } });
  expect(await refusalOf(unnamed)).toMatchObject({ reason: "INVALID_REQUEST", field: "policy.name" });
});

test("an old etag and an absent policy are refused", async () => {
  const { policyId, etag } = await createPolicy("etag");
  await policies.updatePolicy({ policy: { policyId, name: "etag", description: "x", etag } });
  const refusal = { reason: "ETAG_MISMATCH", id: policyId };
  expect(await refusalOf(policies.updatePolicy({ policy: { policyId, name: "y", etag } }))).toMatchObject(refusal);
  expect(await refusalOf(policies.deletePolicy({ policyId, etag }))).toMatchObject(refusal);
  await policies.deletePolicy({ policyId });
  const missing = { reason: "POLICY_NOT_FOUND", policy_id: policyId };
  expect(await refusalOf(policies.deletePolicy({ policyId }))).toMatchObject(missing);
  expect(await refusalOf(policies.getPolicy({ policyId: absent }))).toMatchObject({ reason: "POLICY_NOT_FOUND" });
});

test("pages go newest first", async () => {
  const first = await policies.listPolicies({ pageSize: 2 });
  expect(first.policies.map(({ name }) => name)).toEqual(["two", "one"]);
  const second = await policies.listPolicies({ pageSize: 2, pageToken: first.nextPageToken });
  expect(second.policies.map(({ name }) => name)).toEqual(["taken", "bare"]);
});

test("evaluating a policy is said to be missing", async () => {
  const call = policies.evaluatePolicy({ run: {} });
  expect(await refusalOf(call)).toMatchObject({ reason: "NOT_IMPLEMENTED" });
});
