import { realpath, stat } from "node:fs/promises";
import { isAbsolute, relative } from "node:path";
import type { Task } from "@agent-manager/sdk/proto";
import { DomainError, invalidRequest } from "../domain/errors.js";
import type { Tx } from "../store/schema.js";
import { insertTask } from "../store/tasks.js";
import { checkTaskContent } from "./task-content.js";

export interface TaskCreationOptions {
  /** Where the task stands in the request, for naming wrong fields. */
  readonly fieldPrefix: string;
  /** Folders that hold every project that is served, without links. Empty: any. */
  readonly projectRoots: readonly string[];
}

/** Checks a task as it came in a request, completes it and stores it as open. */
export async function createTaskFromRequest(tx: Tx, task: Task, options: TaskCreationOptions): Promise<Task> {
  const content = checkTaskContent(task, options.fieldPrefix);
  if (task.projectRoot === "") {
    throw invalidRequest({ field: `${options.fieldPrefix}.project_root`, description: "must be set" });
  }
  const projectRoot = await findProject(task.projectRoot, options.projectRoots);
  return insertTask(tx, { ...content, projectRoot });
}

/** The project's folder without links; one folder has one name, whatever way a client takes to it. */
async function findProject(path: string, projectRoots: readonly string[]): Promise<string> {
  const found = await realpath(path).catch((error: unknown) => notFound(path, problemOf(error)));
  const info = await stat(found).catch((error: unknown) => notFound(path, problemOf(error)));
  if (!info.isDirectory()) {
    notFound(path, "it is no folder");
  }
  if (projectRoots.length > 0 && !projectRoots.some((root) => isWithin(root, found))) {
    throw new DomainError("PROJECT_NOT_ALLOWED", { project_root: found, roots: projectRoots.join(", ") });
  }
  return found;
}

function notFound(path: string, problem: string): never {
  throw new DomainError("PROJECT_NOT_FOUND", { project_root: path, problem });
}

function isWithin(root: string, path: string): boolean {
  const rest = relative(root, path);
  return rest !== ".." && !rest.startsWith("../") && !isAbsolute(rest);
}

function problemOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "it cannot be read";
}
