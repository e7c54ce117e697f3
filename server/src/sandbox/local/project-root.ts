import { realpath, stat } from "node:fs/promises";
import { isAbsolute, relative, sep } from "node:path";
import { SandboxError } from "../sandbox-provider.js";

/** The project's real path, after the checks that no copy can be made without. */
export async function checkProjectRoot(projectRoot: string, stateDir: string): Promise<string> {
  if (!isAbsolute(projectRoot)) {
    throw new SandboxError("unsupported", `project root "${projectRoot}" is not absolute; give the whole path`);
  }
  const root = await realpath(projectRoot).catch((cause: unknown) => missing(projectRoot, cause));
  if (!(await stat(root)).isDirectory()) {
    throw new SandboxError("project_missing", `project root "${projectRoot}" is not a folder`);
  }
  if (root === sep) {
    throw new SandboxError("unsupported", "the whole file system cannot be a project; choose a folder below it");
  }
  const state = await realpath(stateDir);
  if (holds(root, state)) {
    throw new SandboxError(
      "unsupported",
      `project root "${root}" holds the service's own data folder; move one of them`,
    );
  }
  if (holds(state, root)) {
    throw new SandboxError(
      "unsupported",
      `project root "${root}" lies in the service's own data folder; move the project`,
    );
  }
  return root;
}

/** True if `inner` is `outer` or lies below it. */
export function holds(outer: string, inner: string): boolean {
  const way = relative(outer, inner);
  return way === "" || !(way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way));
}

function missing(projectRoot: string, cause: unknown): never {
  throw new SandboxError("project_missing", `project root "${projectRoot}" does not exist or cannot be read`, {
    cause,
  });
}
