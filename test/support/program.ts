import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Program {
  /** Run it with process.execPath. */
  readonly path: string;
  remove(): Promise<void>;
}

/** Makes a runnable file of a TypeScript program, for tests that need a process to kill or to run as another user. */
export async function bundleProgram(entry: string): Promise<Program> {
  const folder = join(root, "node_modules", ".cache", "agent-manager-test"); // where packages can be found from
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${basename(entry, ".ts")}-${process.pid}-${Date.now()}.mjs`);
  await build({
    entryPoints: [join(root, entry)],
    outfile: path,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    logLevel: "error",
  });
  return { path, remove: () => rm(path, { force: true }) };
}
