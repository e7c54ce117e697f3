import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

const repository = fileURLToPath(new URL("../../..", import.meta.url));

/** A change to the built server that breaks a guard. */
export interface Mutation {
  /** Below server/dist. */
  readonly file: string;
  readonly change: (code: string) => string;
}

const copies: string[] = [];

afterAll(async () => {
  for (const folder of copies) await rm(folder, { recursive: true, force: true });
});

/**
 * Copies the built server, so that a build meanwhile does not change what is tested, and breaks the copy where
 * asked. Returns its program. The copy is there until the tests of this file are done.
 */
export async function copyServer(mutation?: Mutation): Promise<string> {
  const cache = join(repository, ".cache"); // from where the packages are found
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "faults-"));
  copies.push(folder);
  for (const part of ["bin", "dist", "package.json"]) {
    await cp(join(repository, "server", part), join(folder, part), { recursive: true });
  }
  if (mutation) await mutate(join(folder, "dist", mutation.file), mutation.change);
  return join(folder, "bin", "agent-manager.js");
}

let plain: Promise<string> | undefined;

/** The server as it is; one copy for all tests of a process. */
export function plainServer(): Promise<string> {
  plain ??= copyServer();
  return plain;
}

async function mutate(path: string, change: Mutation["change"]): Promise<void> {
  const code = await readFile(path, "utf8");
  const mutant = change(code);
  if (mutant === code) throw new Error(`the mutation of ${path} no longer finds what it breaks: mend the mutation`);
  await writeFile(path, mutant);
}
