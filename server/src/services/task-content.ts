import { isAbsolute, normalize } from "node:path";
import type { Task } from "@agent-manager/sdk/proto";
import { type FieldViolation, invalidRequest } from "../domain/errors.js";
import type { TaskContent } from "../store/tasks.js";

const TITLE_LIMIT = 120;

/** What a task says, with its title filled in. Throws INVALID_REQUEST for what no field rule can say. */
export function checkTaskContent(task: Task, fieldPrefix: string): TaskContent {
  const violations = [...promptViolations(task), ...pathViolations(task), ...keyViolations(task)];
  if (violations.length > 0) {
    throw invalidRequest(...violations.map(({ field, ...rest }) => ({ field: `${fieldPrefix}.${field}`, ...rest })));
  }
  const { prompt, scopePaths, context, labels } = task;
  return { title: task.title || defaultTitle(prompt), prompt, scopePaths, context, labels };
}

function defaultTitle(prompt: string): string {
  const line = prompt.trim().split(/\r?\n/, 1)[0] ?? "";
  return [...line].slice(0, TITLE_LIMIT).join(""); // by code point, so that no character is cut in two
}

function promptViolations({ prompt }: Task): readonly FieldViolation[] {
  return prompt.trim() === "" ? [{ field: "prompt", description: "must be set" }] : [];
}

function pathViolations({ scopePaths, context }: Task): readonly FieldViolation[] {
  const description = "must be a path inside the project, relative to project_root";
  const paths = [
    ...scopePaths.map((path, index) => ({ field: `scope_paths[${index}]`, path })),
    ...context.map(({ content }, index) => ({
      field: `context[${index}].file`,
      path: content.case === "file" ? content.value : ".",
    })),
  ];
  return paths.filter(({ path }) => leavesProject(path)).map(({ field }) => ({ field, description }));
}

function keyViolations({ context }: Task): readonly FieldViolation[] {
  const keys = context.map(({ key }) => key);
  return keys.flatMap((key, index) =>
    keys.indexOf(key) === index ? [] : [{ field: `context[${index}].key`, description: `"${key}" is used twice` }],
  );
}

function leavesProject(path: string): boolean {
  return isAbsolute(path) || normalize(path).split("/")[0] === "..";
}
