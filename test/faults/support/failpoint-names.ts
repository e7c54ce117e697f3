import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const sources = fileURLToPath(new URL("../../../server/src", import.meta.url));

/** The names of all failpoints in the server's sources. */
export async function readFailpointNames(): Promise<readonly string[]> {
  const files = (await readdir(sources, { recursive: true })).filter((name) => name.endsWith(".ts"));
  const texts = await Promise.all(files.map((name) => readFile(join(sources, name), "utf8")));
  const names = texts.flatMap((text) => [...text.matchAll(/\bfailpoint\("([^"]+)"\)/g)].map(([, name]) => name ?? ""));
  return [...new Set(names)].sort();
}
