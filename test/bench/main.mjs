// Bundles the benchmark programs, which share the tests' TypeScript, and runs them: npm run bench -- [--quick] [name...]
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));
// Two folders deep, so that what looks for the repository from its own place finds it.
const folder = `${root}.cache/bench-${process.pid}`;
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

await build({
  entryPoints: ["main", "processes/event-server", "processes/raw-server", "processes/reader"].map(
    (name) => `${root}test/bench/${name}.ts`,
  ),
  outdir: folder,
  entryNames: "[name]",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  packages: "external",
  sourcemap: "inline",
  logLevel: "error",
});
const { runBenchmarks } = await import(`${folder}/main.mjs`);
process.exit(await runBenchmarks(process.argv.slice(2)));
