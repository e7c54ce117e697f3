import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureServer } from "./embedded-server.js";

let folder = "";
let dataDir = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cli-embedded-"));
  dataDir = join(folder, "data");
});
afterEach(() => {
  const pids = existsSync(join(dataDir, "pids")) ? readFileSync(join(dataDir, "pids"), "utf8").trim().split("\n") : [];
  for (const pid of pids.map(Number)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it has ended
    }
  }
  rmSync(folder, { recursive: true });
});

/** A program that behaves as `serve` does towards whoever starts it: lock, slow start, server.json, health. */
function serverProgram(startMs = 300): string {
  const path = join(folder, "serve.mjs");
  const from = (name: string) => JSON.stringify(import.meta.resolve(name));
  writeFileSync(
    path,
    `import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
     import { createServer } from "node:http2";
     import { connectNodeAdapter } from ${from("@connectrpc/connect-node")};
     import { Health } from ${from("@agent-manager/sdk/proto")};
     const dir = process.argv[process.argv.indexOf("--data-dir") + 1];
     appendFileSync(dir + "/pids", process.pid + "\\n");
     try { mkdirSync(dir + "/lock"); } catch {
       console.error("another agent-manager server uses the data directory " + dir);
       process.exit(1);
     }
     await new Promise((resolve) => setTimeout(resolve, ${startMs}));
     const server = createServer(connectNodeAdapter({
       routes: (router) => router.service(Health, { check: () => ({ status: 1 }) }),
     }));
     server.listen(0, "127.0.0.1", () => {
       const url = "http://127.0.0.1:" + server.address().port;
       writeFileSync(dir + "/server.json", JSON.stringify({ pid: process.pid, url }));
     });
     setTimeout(() => process.exit(), 20_000);`,
  );
  return path;
}

test("two callers at once both get the one server of the data directory", async () => {
  const request = { globals: { dataDir }, env: { PATH: process.env.PATH }, program: serverProgram() };
  const both = await Promise.all([ensureServer(request), ensureServer(request)]);
  expect(both.map(({ started }) => started).sort()).toEqual([false, true]);
  expect(both.map((server) => server.dataDir)).toEqual([dataDir, dataDir]);
  expect(await ensureServer(request)).toMatchObject({ started: false });
});

test("the file of a server that is gone does not stop the next one", async () => {
  const program = serverProgram(50);
  const request = { globals: { dataDir }, env: { PATH: process.env.PATH }, program };
  await ensureServer(request);
  process.kill(Number(readFileSync(join(dataDir, "pids"), "utf8")), "SIGKILL");
  rmSync(join(dataDir, "lock"), { recursive: true });
  expect(await ensureServer(request)).toMatchObject({ started: true });
});

test("a server that cannot start is reported with its own words, at once", async () => {
  const program = join(folder, "broken.mjs");
  writeFileSync(program, 'console.error("error: port 80 is not ours"); process.exit(1);');
  const started = Date.now();
  await expect(ensureServer({ globals: { dataDir }, env: {}, program })).rejects.toThrow("error: port 80 is not ours");
  expect(Date.now() - started).toBeLessThan(5_000);
});

test("an explicit address is taken as it is, and nothing is started", async () => {
  const address = await ensureServer({ globals: { dataDir, url: "http://127.0.0.1:9", token: "t" }, env: {} });
  expect(address).toEqual({ dataDir, url: "http://127.0.0.1:9", token: "t", started: false });
  expect(existsSync(dataDir)).toBe(false);
});

test("a data directory that cannot be made is said in a sentence", async () => {
  writeFileSync(join(folder, "file"), "");
  await expect(ensureServer({ globals: { dataDir: join(folder, "file", "data") }, env: {} })).rejects.toThrow(
    /cannot be written .*choose another with --data-dir/,
  );
});
