import { randomBytes, randomUUID } from "node:crypto";
import { type FileHandle, link, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";

const tokenFileName = "token";

/**
 * Returns the token of a data directory and makes it if there is none. Servers that start at the same time get
 * the same one. Throws, with what to do, for a file that others can read or that holds no token.
 */
export async function loadOrCreateToken(dataDir: string): Promise<string> {
  const path = join(dataDir, tokenFileName);
  return (await readToken(path)) ?? (await createToken(dataDir, path));
}

async function createToken(dataDir: string, path: string): Promise<string> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await publish(path, `${randomBytes(32).toString("base64url")}\n`);
  // Read back: another server may have been first, and its token counts.
  const token = await readToken(path);
  if (token === undefined) throw new Error(`token file ${path} was removed while the server started; start it again`);
  await syncFolder(dataDir);
  return token;
}

/**
 * Makes a file appear under its name with all of its content or not at all, if the name is free: a rename would
 * replace the token of the server that was first, and O_EXCL on the name itself would show an empty file.
 */
async function publish(path: string, content: string): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await using file = await open(draft, "wx", 0o600);
    await file.writeFile(content);
    await file.sync();
    await link(draft, path);
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function readToken(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path);
    await refuseSharedFile(file, path);
    const token = (await file.readFile("utf8")).trim();
    if (!/^[A-Za-z0-9_-]{32,256}$/.test(token)) {
      throw new Error(`token file ${path} holds no token; remove it and start again to make a new one`);
    }
    return token;
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function refuseSharedFile(handle: FileHandle, path: string): Promise<void> {
  const mode = (await handle.stat()).mode & 0o777;
  if ((mode & 0o077) === 0) return;
  throw new Error(
    `token file ${path} is open to other users (mode ${mode.toString(8)}); remove it if they may have read it, or run: chmod 600 ${path}`,
  );
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path);
  await folder.sync();
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
