import { mkdir, open, readdir, readFile, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { SandboxError } from "../sandbox-provider.js";

/** What a complete sandbox says about itself; the file is written last, so its presence means complete. */
export interface SandboxMeta {
  readonly version: 1;
  readonly sandboxId: string;
  readonly projectRoot: string;
  readonly driver: string;
  readonly notes: readonly string[];
}

/** The places of one sandbox below the state folder. */
export interface SandboxFolder {
  readonly path: string;
  /** Written first: the folder is ours, also while it is half made. */
  readonly marker: string;
  readonly meta: string;
  readonly workspace: string;
  readonly reviewDir: string;
}

export function sandboxFolder(stateDir: string, sandboxId: string): SandboxFolder {
  if (!isSandboxId(sandboxId)) {
    throw new SandboxError("unsupported", `sandbox id "${sandboxId}" is no usable folder name; use a run id`);
  }
  const path = join(stateDir, sandboxId);
  return {
    path,
    marker: join(path, "agent-manager-sandbox"),
    meta: join(path, "meta.json"),
    workspace: join(path, "workspace"),
    reviewDir: join(path, "review"),
  };
}

/** Ids become folder names: nothing that could climb out or be taken for an option. */
export function isSandboxId(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name);
}

export async function startFolder(folder: SandboxFolder): Promise<void> {
  await mkdir(folder.path, { recursive: true, mode: 0o700 });
  await writeDurably(folder.marker, "");
  await mkdir(folder.workspace, { mode: 0o700 });
  await mkdir(folder.reviewDir, { mode: 0o700 });
}

export async function finishFolder(folder: SandboxFolder, meta: SandboxMeta): Promise<void> {
  await writeDurably(folder.meta, JSON.stringify(meta));
}

/** The meta of a complete sandbox; undefined if it is half made or absent. */
export async function readMeta(folder: SandboxFolder): Promise<SandboxMeta | undefined> {
  const text = await readFile(folder.meta, "utf8").catch(whenAbsent);
  if (text === undefined) return undefined;
  const meta: unknown = JSON.parse(text);
  if (!isMeta(meta))
    throw new SandboxError("failed", `${folder.meta} was written by another version; remove the sandbox`);
  return meta;
}

/** True if we made the folder, completely or not. */
export async function isOurs(folder: SandboxFolder): Promise<boolean> {
  const names = await readdir(folder.path).catch(whenAbsent);
  if (names === undefined) return false;
  const ownFiles = [folder.marker, folder.meta].map((path) => basename(path));
  if (names.some((name) => ownFiles.includes(name))) return true;
  // A crash before the marker has its name, or after it was removed, leaves no more than the beginnings of our files.
  return names.every((name) => ownFiles.map(temporaryOf).includes(name));
}

async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = temporaryOf(path);
  await using file = await open(temporary, "w", 0o600);
  await file.writeFile(text);
  await file.sync();
  await rename(temporary, path);
  await syncFolder(join(path, ".."));
}

function temporaryOf(path: string): string {
  return `${path}.tmp`;
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

function isMeta(value: unknown): value is SandboxMeta {
  return typeof value === "object" && value !== null && "version" in value && value.version === 1;
}

function whenAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}
