import { constants } from "node:fs";
import { access, mkdir, realpath, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { resolve } from "node:path";
import { StartError } from "../domain/start-error.js";
import { lockDirectory } from "./directory-lock.js";
import { codeOf } from "./error-code.js";

/** A data directory that this process holds alone. */
export interface DataDir {
  /** Absolute, without links. */
  readonly path: string;
  /** Lets the next server in; the end of the process does it too. */
  release(): Promise<void>;
}

/**
 * Makes the directory (0700) if it is missing, sees that it is ours and writable, and locks it against a second
 * server. Throws StartError with what to do.
 */
export async function openDataDir(path: string): Promise<DataDir> {
  const wanted = resolve(path);
  await mkdir(wanted, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw new StartError(`cannot make the data directory ${wanted} (${codeOf(error)}): ${otherDirectory}`);
  });
  await checkOurs(wanted);
  const folder = await realpath(wanted);
  const result = await lockDirectory(folder).catch((error: unknown) => {
    throw new StartError(`cannot lock the data directory ${folder} (${codeOf(error)}): ${otherDirectory}`);
  });
  if (result.kind === "held") {
    const holder = result.pid === undefined ? "" : ` (pid ${result.pid})`;
    throw new StartError(
      `another agent-manager server${holder} uses the data directory ${folder}: use that server, stop it, or ` +
        "choose another directory with --data-dir",
    );
  }
  return { path: folder, release: () => result.lock.release() };
}

const otherDirectory = "choose another one with --data-dir or AGENT_MANAGER_HOME";

async function checkOurs(path: string): Promise<void> {
  const info = await stat(path);
  const uid = process.geteuid?.() ?? info.uid;
  if (!info.isDirectory()) {
    throw new StartError(`the data directory ${path} is not a directory: ${otherDirectory}`);
  }
  if (info.uid !== uid) {
    throw new StartError(
      `the data directory ${path} belongs to user ${info.uid}, and this is user ${uid} (${userName()}): start the ` +
        `server as its owner, or ${otherDirectory}`,
    );
  }
  if ((info.mode & 0o002) !== 0) {
    throw new StartError(
      `everybody can write to the data directory ${path}: run chmod 700 on it, or ${otherDirectory}`,
    );
  }
  await access(path, constants.R_OK | constants.W_OK | constants.X_OK).catch(() => {
    throw new StartError(`the data directory ${path} is not writable: make it so, or ${otherDirectory}`);
  });
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "without a name";
  }
}
