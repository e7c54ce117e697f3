import { mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TaskService, TaskState } from "@agent-manager/sdk/proto";
import type { Client } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/support/postgres.js";
import { clientOf, refusalOf } from "../../../test/support/service-client.js";
import { createTaskService } from "./task-service.js";

let database: TestDatabase;
let tasks: Client<typeof TaskService>;
let project: string;
const stopped: string[][] = [];
const absent = "01890000-0000-7000-8000-000000000000";

beforeAll(async () => {
  database = await createTestDatabase();
  project = await realpath(await mkdtemp(join(tmpdir(), "am-task-")));
  tasks = connect([]);
});
afterAll(async () => {
  await rm(project, { recursive: true, force: true });
  await database.drop();
});

function connect(projectRoots: readonly string[]) {
  const service = createTaskService({
    db: database.db,
    projectRoots,
    stopRunsOfTask: async (...call) => void stopped.push(call),
    principalName: () => "ann",
  });
  return clientOf(TaskService, service);
}

async function createTask(more: object = {}) {
  const { task } = await tasks.createTask({ task: { prompt: "do it", projectRoot: project, ...more } });
  return task ?? expect.fail("no task");
}

test("a created task is open, complete and found as it was given", async () => {
  const given = {
    title: "Fix",
    scopePaths: ["src", "docs/a.md"],
    context: [{ key: "spec", label: "Spec", content: { case: "note", value: "ü\u2028" } }],
    labels: { issue: "42", "": "" },
  };
  const task = await createTask(given);
  expect(task).toMatchObject({ ...given, state: TaskState.OPEN, prompt: "do it", projectRoot: project });
  expect((await tasks.getTask({ taskId: task.taskId })).task).toEqual(task);
});

test("a task without a title gets the first line of its prompt, cut at 120 characters", async () => {
  expect((await createTask({ prompt: "\n  Fix it\r\nand more" })).title).toBe("Fix it");
  expect((await createTask({ prompt: "🙂".repeat(200) })).title).toBe("🙂".repeat(120));
});

test("a project is one folder, whatever way leads to it", async () => {
  const link = join(project, "link");
  await symlink(project, link);
  expect((await createTask({ projectRoot: `${link}/./` })).projectRoot).toBe(project);
});

test.each([
  ["missing", (root: string) => join(root, "nothing"), "ENOENT"],
  ["no folder", (root: string) => join(root, "file"), "it is no folder"],
])("a project that is %s is refused", async (_name, pathIn, problem) => {
  await writeFile(join(project, "file"), "");
  const projectRoot = pathIn(project);
  const call = tasks.createTask({ task: { prompt: "p", projectRoot } });
  expect(await refusalOf(call)).toMatchObject({ reason: "PROJECT_NOT_FOUND", project_root: projectRoot, problem });
});

test("a project outside the served folders is refused", async () => {
  const elsewhere = connect([join(project, "served")]);
  const call = elsewhere.createTask({ task: { prompt: "p", projectRoot: project } });
  expect(await refusalOf(call)).toMatchObject({ reason: "PROJECT_NOT_ALLOWED", project_root: project });
  const within = connect([project]);
  await within.createTask({ task: { prompt: "p", projectRoot: project } });
});

test.each([
  ["prompt", { prompt: " \n" }],
  ["project_root", { projectRoot: "" }],
  ["scope_paths[1]", { scopePaths: ["src/../lib", "src/../../x"] }],
  ["scope_paths[0]", { scopePaths: ["/etc"] }],
  ["context[0].file", { context: [{ key: "a", content: { case: "file", value: "../x" } }] }],
  ["context[1].key", { context: ["x", "y"].map((value) => ({ key: "a", content: { case: "note", value } })) }],
  ['labels["a"]', { labels: { a: "\0" } }],
])("a task whose %s is wrong is refused by that name", async (field, wrong) => {
  expect(await refusalOf(createTask(wrong))).toMatchObject({
    reason: "INVALID_REQUEST",
    field: `task.${field}`,
  });
});

test("a repeated request gets the first answer, another body with the same id is refused", async () => {
  const request = { task: { prompt: "once", projectRoot: project, labels: { a: "1", b: "2" } }, requestId: "r-1" };
  const first = await tasks.createTask(request);
  const reordered = { ...request.task, labels: { b: "2", a: "1" } };
  expect(await tasks.createTask({ ...request, task: reordered })).toEqual(first);
  const other = tasks.createTask({ ...request, task: { ...request.task, prompt: "twice" } });
  expect(await refusalOf(other)).toMatchObject({ reason: "REQUEST_ID_REUSED", request_id: "r-1" });
});

test("a replay is the first answer even after the task has changed", async () => {
  const request = { task: { prompt: "first", projectRoot: project }, requestId: "r-2" };
  const first = await tasks.createTask(request);
  const taskId = first.task?.taskId ?? "";
  await tasks.updateTask({ task: { taskId, prompt: "second" }, updateMask: { paths: ["prompt"] } });
  expect(await tasks.createTask(request)).toEqual(first);
});

test("an update keeps what people cannot change and what the mask leaves out", async () => {
  const { taskId } = await createTask({ labels: { a: "1" } });
  const given = { taskId, prompt: "other", labels: { b: "2" }, projectRoot: "/elsewhere", state: TaskState.DONE };
  const { task } = await tasks.updateTask({ task: given, updateMask: { paths: ["labels"] } });
  expect(task).toMatchObject({ prompt: "do it", labels: { b: "2" }, projectRoot: project, state: TaskState.OPEN });
  for (const path of ["project_root", "state", "labels.b"]) {
    const call = tasks.updateTask({ task: given, updateMask: { paths: [path] } });
    expect(await refusalOf(call)).toMatchObject({ reason: "UPDATE_MASK_INVALID", path });
  }
  const emptied = tasks.updateTask({ task: { taskId } });
  expect(await refusalOf(emptied)).toMatchObject({ reason: "INVALID_REQUEST", field: "task.prompt" });
});

test("an update of an old etag, an absent task or no task is refused", async () => {
  const { taskId, etag } = await createTask();
  await tasks.updateTask({ task: { taskId, title: "x" }, updateMask: { paths: ["title"] } });
  const late = tasks.updateTask({ task: { taskId, title: "y", etag }, updateMask: { paths: ["title"] } });
  expect(await refusalOf(late)).toMatchObject({ reason: "ETAG_MISMATCH", id: taskId });
  const missing = tasks.updateTask({ task: { taskId: absent, prompt: "p" } });
  expect(await refusalOf(missing)).toMatchObject({ reason: "TASK_NOT_FOUND", task_id: absent });
  const garbled = tasks.updateTask({ task: { taskId: "x'y", prompt: "p" } });
  expect(await refusalOf(garbled)).toMatchObject({ reason: "INVALID_REQUEST", field: "task.task_id" });
});

test("a list is filtered by all labels, project and states", async () => {
  const a = await createTask({ labels: { group: "filter", n: "1" } });
  const b = await createTask({ labels: { group: "filter", n: "2" } });
  const list = async (filter: object) => (await tasks.listTasks(filter)).tasks.map(({ taskId }) => taskId);
  expect(await list({ labels: { group: "filter" } })).toEqual([b.taskId, a.taskId]);
  expect(await list({ labels: { group: "filter", n: "1" } })).toEqual([a.taskId]);
  expect(await list({ labels: { group: "none" } })).toEqual([]);
  await tasks.cancelTask({ taskId: b.taskId });
  expect(await list({ labels: { group: "filter" }, states: [TaskState.CANCELLED] })).toEqual([b.taskId]);
  expect(await list({ labels: { group: "filter" }, projectRoot: project })).toEqual([b.taskId, a.taskId]);
  expect(await list({ projectRoot: "/elsewhere" })).toEqual([]);
});

test("cancelling is final, stops the task's runs, and may be repeated", async () => {
  const { taskId } = await createTask();
  const { task } = await tasks.cancelTask({ taskId, comment: "enough" });
  expect(task?.state).toBe(TaskState.CANCELLED);
  expect((await tasks.cancelTask({ taskId, comment: "enough" })).task).toEqual(task);
  expect(stopped.filter(([id]) => id === taskId)).toEqual([
    [taskId, "enough", "ann"],
    [taskId, "enough", "ann"],
  ]);
  expect(await refusalOf(tasks.cancelTask({ taskId: absent }))).toMatchObject({ reason: "TASK_NOT_FOUND" });
});

test("a task that has a run is not deleted; one without is", async () => {
  const { taskId } = await createTask();
  await sql`insert into run (run_id, create_time, update_time, task_id, title, prompt, project_root, runner, labels,
    config, config_sources, state) values (gen_random_uuid(), now(), now(), ${taskId}, '', '', '', '', '{}', '{}', '[]', 1)`.execute(
    database.db,
  );
  expect(await refusalOf(tasks.deleteTask({ taskId }))).toMatchObject({ reason: "TASK_HAS_RUNS", task_id: taskId });
  await sql`delete from run where task_id = ${taskId}`.execute(database.db);
  await tasks.deleteTask({ taskId });
  expect(await refusalOf(tasks.deleteTask({ taskId }))).toMatchObject({ reason: "TASK_NOT_FOUND", task_id: taskId });
  await tasks.deleteTask({ taskId, allowMissing: true });
});
