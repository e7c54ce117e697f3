import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SupervisorSpec, SupervisorState } from "./supervisor/messages.js";

/** The state folder of one run: everything that execution needs to find the run's agent again. */
export interface RunFolder {
  readonly path: string;
  readonly spool: string;
  readonly socket: string;
}

export function runFolder(dataDir: string, runId: string): RunFolder {
  const path = join(dataDir, "runs", runId);
  return { path, spool: join(path, "spool"), socket: join(path, "ctl.sock") };
}

/** The launch that was intended; undefined if none was. */
export function readSpec(folder: RunFolder): Promise<SupervisorSpec | undefined> {
  return readJsonFile<SupervisorSpec>(join(folder.path, "spec.json"));
}

/** Who runs, or ran; undefined if the agent never got past the launch gate. */
export function readState(folder: RunFolder): Promise<SupervisorState | undefined> {
  return readJsonFile<SupervisorState>(join(folder.path, "state.json"));
}

export function removeRunFolder(folder: RunFolder): Promise<void> {
  return rm(folder.path, { recursive: true, force: true });
}

async function readJsonFile<T>(path: string): Promise<T | undefined> {
  try {
    // written durably by us or our supervisor, in a folder of mode 0700
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
