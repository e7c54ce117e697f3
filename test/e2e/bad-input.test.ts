import { chmod, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createAgentManager, type RunHandle } from "@agent-manager/sdk";
import { ApproveRunResponseSchema, ErrorClass, RunState } from "@agent-manager/sdk/proto";
import { equals, type JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createSampleCaller, placesForText, type SampleCaller, withPart } from "../support/sample-caller.js";
import { sampleRequests, unknownId } from "../support/sample-requests.js";
import { projectMaker, script } from "../support/scripted-run.js";
import { makeFolder, scriptedAgent, startServer, type TestServer } from "../support/server.js";
import { findSupervisors } from "../support/server-process.js";
import { unimplementedFields, unimplementedMethods } from "../support/unimplemented.js";
import { failureOf, type WireFailure } from "../support/wire-failure.js";

const MIB = 1024 * 1024;

let folder: Awaited<ReturnType<typeof makeFolder>>;
let server: TestServer;
let callSample: SampleCaller;
const makeProject = projectMaker(() => folder.path);
const agent = () => join(folder.path, "agent");

beforeAll(async () => {
  folder = await makeFolder();
  await symlink(scriptedAgent, agent());
  server = await startServer({
    dataDir: join(folder.path, "data"),
    environment: { AGENT_MANAGER_RUNNER_CLAUDE_CODE_COMMAND: agent() },
  });
  callSample = createSampleCaller(server.url, server.token);
});

afterAll(async () => {
  await server.stop();
  await folder.remove();
});

/** How a call of "Service/Method" with this JSON fails. */
async function refusal(name: string, request: JsonObject): Promise<WireFailure> {
  const sample = sampleRequests.find((candidate) => candidate.name === name);
  if (sample === undefined) throw new Error(`no such method: ${name}`);
  const failure = await callSample(sample.method, request);
  if (failure === undefined) throw new Error(`${name} succeeded`);
  return failure;
}

async function start(...steps: readonly object[]): Promise<RunHandle> {
  return server.am.runs.start({ task: { prompt: script(...steps), projectRoot: await makeProject() } });
}

async function startReviewable(): Promise<RunHandle> {
  const run = await start({ write: { path: "a.txt", content: "changed\n" } });
  await run.wait();
  return run;
}

describe("an unknown id is not found, by name:", () => {
  const names = (reason: string, rows: readonly (readonly [string, JsonObject])[]) =>
    rows.map(([name, request]) => [name, request, reason] as const);
  const run = { run_id: unknownId };
  const task = { task_id: unknownId };
  const profile = { profile_id: unknownId };
  const policy = { policy_id: unknownId };
  const work = { task: { prompt: "p", project_root: "/" } };

  test.each([
    ...names("RUN_NOT_FOUND", [
      ["RunService/GetRun", run],
      ["RunService/BatchGetRuns", { run_ids: [unknownId] }],
      ["RunService/StopRun", run],
      ["RunService/GetChangeSet", run],
      ["RunService/ApproveRun", { ...run, digest: "d" }],
      ["RunService/RejectRun", run],
      ["RunService/WatchRun", run],
      ["RunEventService/ListRunEvents", run],
      ["RunEventService/WatchRunEvents", run],
    ]),
    ...names("TASK_NOT_FOUND", [
      ["TaskService/GetTask", task],
      ["TaskService/UpdateTask", { task }],
      ["TaskService/CancelTask", task],
      ["TaskService/DeleteTask", task],
      ["RunService/CreateRun", task],
    ]),
    ...names("PROFILE_NOT_FOUND", [
      ["AgentProfileService/GetAgentProfile", profile],
      ["AgentProfileService/GetAgentProfile", { key: "nobody" }],
      ["AgentProfileService/UpdateAgentProfile", { profile }],
      ["AgentProfileService/DeleteAgentProfile", profile],
      ["RunService/CreateRun", { ...work, ...profile }],
      ["RunService/CreateRun", { ...work, profile_key: "nobody" }],
    ]),
    ...names("POLICY_NOT_FOUND", [
      ["PolicyService/GetPolicy", policy],
      ["PolicyService/UpdatePolicy", { policy: { ...policy, name: "n" } }],
      ["PolicyService/DeletePolicy", policy],
    ]),
  ])("%s %j", async (name, request, reason) => {
    expect(await refusal(name, request)).toMatchObject({ code: "NotFound", reason });
  });

  test.each<[string, JsonObject]>([
    ["RunnerService/GetRunner", { runner: "abacus" }],
    ["RunService/CreateRun", { ...work, config_overrides: { runner: "abacus" } }],
  ])("%s %j, with the runners that there are", async (name, request) => {
    const failure = await refusal(name, request);
    expect(failure).toMatchObject({ reason: "RUNNER_UNKNOWN", metadata: { runner: "abacus" } });
    expect(failure.message).toContain("claude-code");
  });
});

describe("a wrong field is named:", () => {
  const task = (fields: JsonObject) => ({ task: { prompt: "p", project_root: "/", ...fields } });
  const config = (config_overrides: JsonObject) => ({ ...task({}), config_overrides });

  test.each<[string, JsonObject, string]>([
    ["RunService/GetRun", { run_id: "1" }, "run_id"],
    ["RunService/GetRun", {}, "run_id"],
    ["RunService/BatchGetRuns", { run_ids: [unknownId, "2"] }, "run_ids[1]"],
    ["RunService/BatchGetRuns", {}, "run_ids"],
    ["TaskService/GetTask", { task_id: `${unknownId}0` }, "task_id"],
    ["TaskService/CreateTask", task({ title: "x".repeat(513) }), "task.title"],
    ["TaskService/CreateTask", task({ prompt: "x".repeat(MIB + 1) }), "task.prompt"],
    ["TaskService/CreateTask", task({ prompt: " " }), "task.prompt"],
    ["TaskService/CreateTask", task({ project_root: "relative" }), "task.project_root"],
    ["TaskService/CreateTask", task({ project_root: "" }), "task.project_root"],
    ["TaskService/CreateTask", task({ scope_paths: ["a", "../../etc"] }), "task.scope_paths[1]"],
    ["TaskService/CreateTask", task({ context: [{ key: "k", file: "/etc/passwd" }] }), "task.context[0].file"],
    ["TaskService/CreateTask", task({ context: [{ key: "k" }] }), "task.context[0].content"],
    ["TaskService/CreateTask", task({ labels: { "a b": "v" } }), 'task.labels["a b"]'],
    ["TaskService/CreateTask", task({ labels: { a: "x".repeat(257) } }), 'task.labels["a"]'],
    ["TaskService/CreateTask", {}, "task"],
    ["TaskService/ListTasks", { page_size: -1 }, "page_size"],
    ["TaskService/ListTasks", { states: [1, 99] }, "states[1]"],
    ["AgentProfileService/ListAgentProfiles", { page_size: -1 }, "page_size"],
    ["AgentProfileService/GetAgentProfile", {}, "name"],
    ["AgentProfileService/CreateAgentProfile", { profile: { key: "Not A Key" } }, "profile.key"],
    ["AgentProfileService/CreateAgentProfile", { profile: {} }, "profile.key"],
    ["PolicyService/CreatePolicy", { policy: { name: "" } }, "policy.name"],
    [
      "PolicyService/CreatePolicy",
      { policy: { name: "p", rules: { tools: [{ pattern: "Bash" }] } } },
      "policy.rules.tools[0].effect",
    ],
    ["RunService/CreateRun", {}, "work"],
    ["RunService/CreateRun", { ...task({}), labels: { "-": "v" } }, 'labels["-"]'],
    ["RunService/CreateRun", { ...task({}), request_id: "x".repeat(129) }, "request_id"],
    ["RunService/CreateRun", config({ runner: "Claude Code" }), "config_overrides.runner"],
    ["RunService/CreateRun", config({ timeout_ms: 5 }), "config_overrides.timeout_ms"],
    ["RunService/CreateRun", config({ permission_mode: 77 }), "config_overrides.permission_mode"],
    ["RunService/CreateRun", config({ tools: { allowed: [""] } }), "config_overrides.tools.allowed[0]"],
    ["RunService/CreateRun", config({ budget: { cost_usd: -1 } }), "config_overrides.budget.cost_usd"],
    ["RunService/ListRuns", { page_size: -5 }, "page_size"],
    ["RunService/ListRuns", { selector: { run_ids: ["x"] } }, "selector.run_ids[0]"],
    ["RunService/StopRuns", { selector: {} }, "selector"],
    ["RunService/StopRuns", {}, "selector"],
    ["RunService/ApproveRun", { run_id: unknownId }, "digest"],
    ["RunEventService/WatchRunEvents", { run_id: unknownId, after_sequence: "-1" }, "after_sequence"],
    ["RunEventService/WatchRunEvents", { run_id: unknownId, kinds: [5] }, "kinds[0]"],
    ["RunEventService/WatchRunEvents", { run_id: unknownId, heartbeat_interval_ms: 300_001 }, "heartbeat_interval_ms"],
    ["RunnerService/GetRunner", {}, "runner"],
  ])("%s %.120j", async (name, request, field) => {
    const failure = await refusal(name, request);
    expect(failure).toMatchObject({ code: "InvalidArgument", reason: "INVALID_REQUEST", fields: [field] });
    expect(failure.message).toContain(field);
  });

  test("all of several at once", async () => {
    const { fields } = await refusal("TaskService/CreateTask", task({ title: "x".repeat(513), labels: { "": "v" } }));
    expect(fields).toEqual(expect.arrayContaining(["task.title", 'task.labels[""]']));
  });

  test.each([
    "AgentProfileService/ListAgentProfiles",
    "TaskService/ListTasks",
    "RunService/ListRuns",
    "PolicyService/ListPolicies",
  ])("%s with a page token that is none", async (name) => {
    const failure = await refusal(name, { page_token: "bm9uc2Vuc2U" });
    expect(failure).toMatchObject({ code: "InvalidArgument", reason: "PAGE_TOKEN_INVALID" });
  });

  test("ListRunEvents with a page token that is none", async () => {
    const { id } = await start({ say: "x" });
    const failure = await refusal("RunEventService/ListRunEvents", { run_id: id, page_token: "x" });
    expect(failure).toMatchObject({ code: "InvalidArgument", reason: "PAGE_TOKEN_INVALID" });
  });

  test("an update mask that names what cannot be changed", async () => {
    const { profile } = await server.am.profiles.ensure({ key: "masked" });
    const failure = await refusal("AgentProfileService/UpdateAgentProfile", {
      profile: { profile_id: profile.profileId, key: "other" },
      update_mask: "key",
    });
    expect(failure).toMatchObject({ code: "InvalidArgument", reason: "UPDATE_MASK_INVALID" });
  });

  test.each<[string, JsonObject]>([
    ["paths", { paths: { writable: ["src/["] } }],
    ["run_mode", { run_mode: "RUN_MODE_IN_PLACE" }],
    ["network.mode", { network: { mode: "NETWORK_MODE_NONE" } }],
  ])("a setting that would not be enforced: %s", async (field, overrides) => {
    const failure = await refusal("RunService/CreateRun", config(overrides));
    expect(failure).toMatchObject({ code: "InvalidArgument", reason: "RUN_CONFIG_INVALID", metadata: { field } });
  });
});

describe("a message that is no message", () => {
  interface Sent {
    readonly method?: string;
    readonly type?: string;
    readonly body: string | Uint8Array<ArrayBuffer>;
    readonly token?: string;
  }

  async function send({
    method = "TaskService/CreateTask",
    type = "application/json",
    body,
    token = server.token,
  }: Sent) {
    const response = await fetch(`${server.url}/agent_manager.v1.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": type },
      body,
    });
    return { status: response.status, text: await response.text() };
  }

  test.each([
    ["an unknown field", { task: { prompt: "p", projectRooot: "/" } }, "projectRooot"],
    ["an unknown enum value", { task: { state: "TASK_STATE_LOST" } }, "TASK_STATE_LOST"],
    ["a number for a text", { task: { prompt: 7 } }, "prompt"],
    ["two members of a oneof", { task: { context: [{ file: "a", note: "b" }] } }, "content"],
  ])("is refused in JSON, with %s named", async (_what, message, named) => {
    const { status, text } = await send({ body: JSON.stringify(message) });
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ code: "invalid_argument", message: expect.stringContaining(named) });
  });

  test.each(["{", "[]", "null", '"text"', "\u0000"])("is refused in JSON: %j", async (body) => {
    const { status, text } = await send({ body });
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ code: "invalid_argument" });
  });

  test.each([
    ["cut short", [0x0a, 0x20, 0x01]],
    ["with a field number of zero", [0x00, 0x01]],
    ["with an endless varint", Array(12).fill(0xff)],
    ["with a text that is not UTF-8", [0x0a, 0x05, 0x2a, 0x03, 0xff, 0xfe, 0xfd]],
  ])("is refused in binary: %s", async (_what, bytes) => {
    // INTERNAL is what gRPC says for a request that cannot be parsed
    const { text } = await send({ type: "application/proto", body: new Uint8Array(bytes) });
    expect(JSON.parse(text)).toMatchObject({ code: "internal", message: expect.stringContaining("parse binary") });
  });

  test("is refused in a type that nobody speaks", async () => {
    expect(await send({ type: "text/plain", body: "hello" })).toMatchObject({ status: 415 });
  });

  test.each([
    ["a wrong token", "wrong"],
    ["another server's token", "A".repeat(43)],
    ["no token", ""],
  ])("of a caller with %s is refused unread", async (_what, token) => {
    const { status, text } = await send({ body: "{", token });
    expect(status).toBe(401);
    expect(JSON.parse(text)).toMatchObject({ code: "unauthenticated" });
  });

  test("of a client of the SDK with a wrong token is an error with what to do", async () => {
    const stranger = createAgentManager({ url: server.url, token: "wrong", maxRetries: 0 });
    await expect(stranger.runs.find({})).rejects.toMatchObject({
      name: "UnauthenticatedError",
      message: expect.stringContaining("<data-dir>/token"),
    });
    stranger.close();
  });

  test("over 4 MiB is refused over gRPC with the limit", async () => {
    const failure = await refusal("RunService/CreateRun", { task: { prompt: "x".repeat(5 * MIB), project_root: "/" } });
    expect(failure).toMatchObject({ code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" });
    expect(failure.metadata).toHaveProperty("limit_bytes", String(4 * MIB));
  });

  test("over 4 MiB is refused in JSON with the limit", async () => {
    const { status, text } = await send({ body: JSON.stringify({ task: { prompt: "x".repeat(5 * MIB) } }) });
    expect(status).toBe(429);
    expect(JSON.parse(text)).toMatchObject({
      code: "resource_exhausted",
      message: expect.stringContaining(String(4 * MIB)),
    });
  });
});

test("a text that Postgres cannot hold fails no call inside the server, whatever field it is in", async () => {
  const projectRoot = await makeProject();
  const broken: string[] = [];
  let calls = 0;
  for (const { name, method, request } of sampleRequests) {
    // a run that would be created must fail for the text and not for its folder
    const valid = name === "RunService/CreateRun" ? { task: { prompt: "p", project_root: projectRoot } } : request;
    for (const part of placesForText(method.input, "a\0b")) {
      const failure = await callSample(method, withPart(method.input, valid, part));
      calls += 1;
      if (["Internal", "Unknown", "Unavailable"].includes(failure?.code ?? ""))
        broken.push(`${name} ${JSON.stringify(part)}`);
    }
  }
  expect(calls).toBeGreaterThan(150);
  expect(broken).toEqual([]);
});

describe("a project", () => {
  test.each([
    ["that does not exist", () => join(folder.path, "nowhere")],
    ["that is a file", () => agent()],
  ])("%s is refused before anything is created", async (_what, path) => {
    const task = { prompt: "p", project_root: path() };
    for (const name of ["TaskService/CreateTask", "RunService/CreateRun"]) {
      const failure = await refusal(name, { task });
      expect(failure).toMatchObject({ code: "FailedPrecondition", reason: "PROJECT_NOT_FOUND" });
      expect(failure.message).toContain(path());
    }
    expect((await server.am.clients.tasks.listTasks({ projectRoot: path() })).tasks).toEqual([]);
  });

  test("that goes away before its run starts ends the run, with the reason", async () => {
    const projectRoot = await makeProject();
    const { taskId } = await server.am.tasks.create({ prompt: script({ say: "x" }), projectRoot });
    await rm(projectRoot, { recursive: true });
    const run = await server.am.runs.start({ taskId });
    expect(await run.wait()).toMatchObject({ kind: "sandboxFailed" });
    expect((await run.refresh()).stateReason).toContain(projectRoot);
  });

  test("that is no git repository works", async () => {
    const plain = await makeFolder();
    await writeFile(join(plain.path, "x.txt"), "x\n");
    const prompt = script({ write: { path: "x.txt", content: "y\n" } });
    const run = await server.am.runs.start({ task: { prompt, projectRoot: plain.path } });
    await run.wait();
    expect((await run.approve()).appliedFiles).toEqual(["x.txt"]);
    expect(await readFile(join(plain.path, "x.txt"), "utf8")).toBe("y\n");
    await plain.remove();
  });

  test("with uncommitted work keeps it: the change set holds only what the agent changed", async () => {
    const lines = Array.from({ length: 30 }, (_, index) => `${index}\n`);
    const projectRoot = await makeProject({ "both.txt": lines.join(""), "mine.txt": "committed\n", "gone.txt": "g\n" });
    const human = lines.with(0, "human\n");
    await writeFile(join(projectRoot, "both.txt"), human.join(""));
    await writeFile(join(projectRoot, "mine.txt"), "uncommitted\n");
    await writeFile(join(projectRoot, "untracked.txt"), "new\n");
    await rm(join(projectRoot, "gone.txt"));

    const both = human.with(29, "agent\n").join("");
    const run = await server.am.runs.start({
      task: { prompt: script({ write: { path: "both.txt", content: both } }), projectRoot },
    });
    await run.wait();
    const { files } = await run.changes();
    expect(files).toMatchObject([{ path: "both.txt", additions: 1, deletions: 1 }]);
    expect((await run.approve()).appliedFiles).toEqual(["both.txt"]);
    expect(await readFile(join(projectRoot, "both.txt"), "utf8")).toBe(both);
    expect(await readFile(join(projectRoot, "mine.txt"), "utf8")).toBe("uncommitted\n");
    expect(await readFile(join(projectRoot, "untracked.txt"), "utf8")).toBe("new\n");
    await expect(readFile(join(projectRoot, "gone.txt"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("a runner's program", () => {
  async function replaceAgent(content: string, mode: number): Promise<void> {
    await rm(agent(), { force: true });
    await writeFile(agent(), content);
    await chmod(agent(), mode);
  }

  async function runAndReadErrors() {
    const run = await start({ say: "never said" });
    const outcome = await run.wait();
    const errors: {
      readonly class: ErrorClass;
      readonly code: string;
      readonly text: string;
      readonly recovery: string;
    }[] = [];
    for await (const { event } of run.events()) if (event.case === "error") errors.push(event.value);
    expect((await run.refresh()).state).toBe(RunState.FAILED);
    return { outcome: outcome.kind, errors, reason: run.snapshot.stateReason };
  }

  test("that is missing ends its run as unavailable, with the install hint", async () => {
    await rm(agent());
    const { outcome, errors } = await runAndReadErrors();
    expect(outcome).toBe("runnerUnavailable");
    expect(errors).toMatchObject([
      {
        class: ErrorClass.CONFIGURATION,
        code: "runner_not_installed",
        recovery: expect.stringContaining("npm install"),
      },
    ]);
    expect(errors[0]?.text).toContain(agent());
  });

  test("that is not executable ends its run as unavailable", async () => {
    await replaceAgent("#!/bin/sh\n", 0o644);
    const { outcome, errors } = await runAndReadErrors();
    expect(outcome).toBe("runnerUnavailable");
    expect(errors[0]?.text).toContain("not executable");
  });

  test("that the system cannot run ends its run as failed, with what the system says", async () => {
    await replaceAgent("#!/nonexistent/interpreter\n", 0o755);
    const { outcome, reason } = await runAndReadErrors();
    expect(outcome).toBe("runnerError");
    expect(reason).toContain("not found");
  });

  test("that crashes at once ends its run as failed, with its exit code and last words", async () => {
    await replaceAgent("#!/bin/sh\necho 'no such luck' >&2\nexit 3\n", 0o755);
    const { outcome, errors, reason } = await runAndReadErrors();
    expect(outcome).toBe("runnerError");
    expect(`${reason} ${JSON.stringify(errors)}`).toContain("no such luck");
  });

  test("that is back runs the next one", async () => {
    await rm(agent());
    await symlink(scriptedAgent, agent());
    expect((await (await start({ say: "back" })).wait()).kind).toBe("noChanges");
  });
});

describe("a request id", () => {
  test("of CreateRun, sent ten times at once and once more, creates one run", async () => {
    const task = { prompt: script({ say: "once" }), projectRoot: await makeProject() };
    const request = { work: { case: "task", value: task }, requestId: "create-once" } as const;
    const { runs } = server.am.clients;
    const answers = await Promise.all(Array.from({ length: 10 }, () => runs.createRun(request)));
    answers.push(await runs.createRun(request));
    expect(new Set(answers.map(({ run }) => run?.runId)).size).toBe(1);
    expect((await runs.listRuns({ selector: { projectRoot: task.projectRoot } })).runs).toHaveLength(1);
    const other = { ...request, work: { case: "task", value: { ...task, prompt: "another" } } } as const;
    expect(await failureOf(runs.createRun(other))).toMatchObject({
      code: "InvalidArgument",
      reason: "REQUEST_ID_REUSED",
      metadata: { request_id: "create-once" },
    });
  });

  test("of a CreateRun that was refused can be used again", async () => {
    const { runs } = server.am.clients;
    const request = (projectRoot: string) => {
      const task = { prompt: script({ say: "x" }), projectRoot };
      return { work: { case: "task", value: task }, requestId: "refused-first" } as const;
    };
    expect(await failureOf(runs.createRun(request("/nonexistent")))).toMatchObject({ reason: "PROJECT_NOT_FOUND" });
    expect((await runs.createRun(request(await makeProject()))).run?.state).toBe(RunState.QUEUED);
  });

  test("of ApproveRun answers the same again, and is refused with another body", async () => {
    const run = await startReviewable();
    const { digest } = await run.changes();
    const request = { runId: run.id, digest, comment: "good", requestId: "approve-once" };
    const { runs } = server.am.clients;
    const first = await runs.approveRun(request);
    expect(first.appliedFiles).toEqual(["a.txt"]);
    expect(equals(ApproveRunResponseSchema, await runs.approveRun(request), first)).toBe(true);
    expect(await failureOf(runs.approveRun({ ...request, comment: "bad" }))).toMatchObject({
      code: "InvalidArgument",
      reason: "REQUEST_ID_REUSED",
    });
  });
});

describe("in the wrong state", () => {
  test("a digest that is not the latest is refused with the latest, and nothing is applied", async () => {
    const run = await startReviewable();
    const { digest } = await run.changes();
    expect(await refusal("RunService/ApproveRun", { run_id: run.id, digest: "0123" })).toMatchObject({
      code: "Aborted",
      reason: "CHANGE_SET_STALE",
      metadata: { digest: "0123", latest_digest: digest },
    });
    expect(await readFile(join(run.snapshot.projectRoot, "a.txt"), "utf8")).toBe("one\ntwo\nthree\n");
  });

  test("a run that works can be neither approved nor rejected and has no change set", async () => {
    const run = await start({ say: "on" }, { sleep_ms: 60_000 });
    for await (const { event } of run.events()) if (event.case === "message") break;
    const approval = { run_id: run.id, digest: "d" };
    for (const [name, request] of [
      ["ApproveRun", approval],
      ["RejectRun", { run_id: run.id }],
    ] as const) {
      const failure = await refusal(`RunService/${name}`, request);
      expect(failure).toMatchObject({ code: "FailedPrecondition", reason: "RUN_NOT_REVIEWABLE" });
      expect(failure.message).toContain("RUNNING");
    }
    const failure = await refusal("RunService/GetChangeSet", { run_id: run.id });
    expect(failure).toMatchObject({ code: "FailedPrecondition", reason: "CHANGE_SET_NOT_READY" });
    await run.stop();
    await run.wait();
  });

  test("a run that has ended cannot be stopped, approved or rejected", async () => {
    const run = await startReviewable();
    await run.reject();
    const stop = await refusal("RunService/StopRun", { run_id: run.id });
    expect(stop).toMatchObject({ code: "FailedPrecondition", reason: "RUN_NOT_STOPPABLE" });
    const { digest } = await run.changes();
    const approve = await refusal("RunService/ApproveRun", { run_id: run.id, digest });
    expect(approve).toMatchObject({ code: "FailedPrecondition", reason: "RUN_NOT_REVIEWABLE" });
    expect(await readFile(join(run.snapshot.projectRoot, "a.txt"), "utf8")).toBe("one\ntwo\nthree\n");
  });

  test("a cancelled task takes no run, and one with runs is not deleted", async () => {
    const task = await server.am.tasks.create({ prompt: script({ say: "x" }), projectRoot: await makeProject() });
    await (await server.am.runs.start({ taskId: task.taskId })).wait();
    const remove = await refusal("TaskService/DeleteTask", { task_id: task.taskId });
    expect(remove).toMatchObject({ code: "FailedPrecondition", reason: "TASK_HAS_RUNS" });
    await server.am.clients.tasks.cancelTask({ taskId: task.taskId });
    const create = await refusal("RunService/CreateRun", { task_id: task.taskId });
    expect(create).toMatchObject({ code: "FailedPrecondition", reason: "TASK_CANCELLED" });
  });

  test("a cursor ahead of the log, or of another log, is refused", async () => {
    const run = await start({ say: "x" });
    await run.wait();
    const { lastSequence } = await run.refresh();
    const ahead = { run_id: run.id, after_sequence: String(lastSequence + 1n) };
    expect(await refusal("RunEventService/WatchRunEvents", ahead)).toMatchObject({
      code: "OutOfRange",
      reason: "CURSOR_AHEAD",
      metadata: { newest_sequence: String(lastSequence) },
    });
    const foreign = { run_id: run.id, after_sequence: "1", log_id: "another-log" };
    expect(await refusal("RunEventService/WatchRunEvents", foreign)).toMatchObject({
      code: "FailedPrecondition",
      reason: "CURSOR_FOREIGN",
      metadata: { log_id: "another-log" },
    });
  });
});

describe("what is not implemented", () => {
  test("is exactly the methods on the list, and each says so", async () => {
    const refused: string[] = [];
    for (const { name, method, request } of sampleRequests) {
      const failure = await callSample(method, request);
      // a request that breaks a rule would be refused whether or not the method is there
      expect(failure?.code, `${name}: ${failure?.message}`).not.toBe("InvalidArgument");
      if (failure?.code !== "Unimplemented") continue;
      expect(failure.reason, name).toBe("NOT_IMPLEMENTED");
      refused.push(name);
    }
    expect(refused.sort()).toEqual(unimplementedMethods);
  });

  test.each(unimplementedFields)("says so and changes nothing: %s", async (entry) => {
    const run = await startReviewable();
    const { digest } = await run.changes();
    const [name = "", field = ""] = entry.split(" ");
    const request = { run_id: run.id, ...(name.endsWith("ApproveRun") && { digest }), [field]: { files: ["a.txt"] } };
    expect(await refusal(name, request)).toMatchObject({ code: "Unimplemented", reason: "NOT_IMPLEMENTED" });
    expect((await run.refresh()).state).toBe(RunState.NEEDS_REVIEW);
  });

  test("includes methods that no version has", async () => {
    const response = await fetch(`${server.url}/agent_manager.v1.RunService/Fly`, {
      method: "POST",
      headers: { authorization: `Bearer ${server.token}`, "content-type": "application/json" },
      body: "{}",
    });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "unimplemented" });
  });
});

test("after all of it the same server process lives, has failed nowhere inside, and a good run succeeds", async () => {
  expect(() => process.kill(server.pid, 0)).not.toThrow();
  expect(
    server
      .output()
      .split("\n")
      .filter((line) => /failed inside the server|"level":60/.test(line)),
  ).toEqual([]);
  const run = await startReviewable();
  expect((await run.approve()).run.state).toBe(RunState.COMPLETED);
  expect(await server.am.health()).toBe("serving");
  await vi.waitFor(async () => expect(await findSupervisors(server.dataDir)).toEqual([]), 3_000);
});
