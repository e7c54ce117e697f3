import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, test } from "vitest";

const bundle = (entry: string) =>
  build({
    entryPoints: [fileURLToPath(new URL(entry, import.meta.url))],
    bundle: true,
    write: false,
    platform: "browser",
    format: "esm",
    logLevel: "silent",
    metafile: true,
  });

test("the browser entry bundles without Node's modules", async () => {
  const { metafile } = await bundle("browser.ts");
  const inputs = Object.keys(metafile.inputs);
  expect(inputs.some((path) => path.includes("connect-web"))).toBe(true);
  expect(inputs.filter((path) => path.includes("connect-node"))).toEqual([]);
});

test("the Node entry does not, so the check above can fail", async () => {
  await expect(bundle("index.ts")).rejects.toThrow("node:");
});
