import { spawn } from "node:child_process";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { failpoint, failpointEnvironment } from "../failpoint.js";
import type { RunFolder } from "./run-folder.js";
import { NONCE_VARIABLE } from "./supervisor/agent-process.js";
import { writeDurably } from "./supervisor/durable-file.js";
import type { SupervisorSpec } from "./supervisor/messages.js";

const BUNDLE = fileURLToPath(new URL("../supervisor.mjs", import.meta.url));

export interface SupervisorLaunch {
  readonly folder: RunFolder;
  readonly spec: SupervisorSpec;
  /** The agent's whole environment. It reaches the supervisor as its own and never the disk. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Starts the supervisor of a run, detached: it outlives this server. The intent is on disk before anything
 * runs, and the supervisor is a copy, so that an upgrade of the server's files cannot pull code from under it.
 */
export async function launchSupervisor({ folder, spec, environment }: SupervisorLaunch): Promise<void> {
  await mkdir(folder.path, { recursive: true, mode: 0o700 });
  const program = join(folder.path, "supervisor.mjs");
  await copyFile(BUNDLE, program);
  writeDurably(join(folder.path, "spec.json"), JSON.stringify(spec));
  failpoint("launch.spec-written");
  const child = spawn(process.execPath, ["--max-old-space-size=128", program, folder.path], {
    cwd: folder.path,
    env: { ...environment, [NONCE_VARIABLE]: spec.nonce, ...failpointEnvironment() },
    detached: true,
    stdio: "ignore",
  });
  await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
  child.unref();
  failpoint("launch.spawned");
}
