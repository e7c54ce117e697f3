import { chown, mkdtemp, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { StartError } from "../domain/start-error.js";
import type { PostgresLauncher } from "./postgres-launcher.js";
import { POSTGRES_MAJOR, type PostgresProgram } from "./postgres-program.js";

/** The only role; the socket's folder decides who may connect. */
export const POSTGRES_USER = "agent_manager";

export interface ClusterOptions {
  readonly program: PostgresProgram;
  readonly launcher: PostgresLauncher;
  /** The folder that holds, or shall hold, the cluster. */
  readonly clusterDir: string;
}

/** Makes the cluster if there is none, and sees to it that Postgres can open it. */
export async function prepareCluster(options: ClusterOptions): Promise<void> {
  const { clusterDir, launcher } = options;
  await removeHalfMade(clusterDir);
  const version = await readFile(join(clusterDir, "PG_VERSION"), "utf8").catch(() => undefined);
  if (version === undefined) {
    await createCluster(options);
  } else if (version.trim() !== POSTGRES_MAJOR) {
    throw new StartError(
      `${clusterDir} was made by Postgres ${version.trim()}, and this program brings Postgres ${POSTGRES_MAJOR}: ` +
        "dump it with the version that made it, or choose another data directory",
    );
  } else {
    await giveTo(launcher.owner, clusterDir).catch(() => {
      throw new StartError(`${clusterDir} belongs to another user: start the server as that user`);
    });
  }
}

/** Made beside and renamed when complete: a crash in the middle leaves a folder that the next start removes. */
async function createCluster({ program, launcher, clusterDir }: ClusterOptions): Promise<void> {
  const parent = dirname(clusterDir);
  const halfMade = await mkdtemp(`${clusterDir}.new-`);
  await giveTo(launcher.owner, halfMade);
  const [command = "", ...args] = [...launcher.prefix, program.initdb, ...initdbArguments(halfMade)];
  const result = await execa(command, args, { reject: false, all: true, env: program.environment, extendEnv: false });
  if (result.failed) {
    await rm(halfMade, { recursive: true, force: true });
    throw new StartError(
      `cannot make the embedded Postgres cluster in ${parent}: ${lastLine(result.all) || result.shortMessage}; ` +
        "mend that, or set DATABASE_URL",
    );
  }
  await rename(halfMade, clusterDir).catch(() => {
    throw new StartError(
      `${clusterDir} is in the way and is no Postgres cluster: move it, or choose another data directory`,
    );
  });
  await syncFolder(parent);
}

function initdbArguments(folder: string): readonly string[] {
  return [
    `--pgdata=${folder}`,
    `--username=${POSTGRES_USER}`,
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--no-instructions",
  ];
}

async function removeHalfMade(clusterDir: string): Promise<void> {
  const parent = dirname(clusterDir);
  for (const name of await readdir(parent)) {
    if (join(parent, name).startsWith(`${clusterDir}.new-`)) {
      await rm(join(parent, name), { recursive: true, force: true });
    }
  }
}

/** The way of launching can change between starts (a container first, then not), and with it the owner. */
async function giveTo(owner: PostgresLauncher["owner"], path: string): Promise<void> {
  const info = await stat(path);
  if (info.uid === owner.uid) {
    return;
  }
  if (info.isDirectory()) {
    for (const entry of await readdir(path, { recursive: true })) {
      await chown(join(path, entry), owner.uid, owner.gid);
    }
  }
  await chown(path, owner.uid, owner.gid); // last, since it says that all below is done
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function lastLine(text: string | undefined): string {
  return text?.trim().split("\n").at(-1) ?? "";
}
