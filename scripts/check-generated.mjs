// Fails if what is checked in is not what its source makes today: the code from proto, the error reference from
// the catalogue, the vendored validate.proto from its package.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const temporary = mkdtempSync(join(tmpdir(), "am-generated-"));
const run = (program, ...args) => execFileSync(program, args, { maxBuffer: 64 * 1024 * 1024 });

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

function differences() {
  run("node_modules/.bin/buf", "generate", "--output", temporary);
  const made = join(temporary, "sdk/src/gen");
  const names = [...new Set([...filesBelow(made), ...filesBelow("sdk/src/gen")])];
  const code = names.filter((name) => read(join(made, name)) !== read(join("sdk/src/gen", name)));
  const printed = [
    ["docs/errors.md", "scripts/print-error-docs.mjs"],
    ["proto/vendor/buf/validate/validate.proto", "scripts/print-validate-proto.mjs"],
  ];
  const texts = printed.filter(([path, script]) => run(process.execPath, script).toString() !== read(path));
  return [...code.map((name) => `sdk/src/gen/${name}`), ...texts.map(([path]) => path)];
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

try {
  const stale = differences();
  for (const path of stale)
    console.error(`${path} is not what its source makes: see CONTRIBUTING.md, "Generated files"`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
