import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadOrCreateToken } from "./token.js";

let root: string;
let dataDir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "am-token-"));
  dataDir = join(root, "data");
});
afterEach(() => rm(root, { recursive: true, force: true }));

test("the first start makes a token that only the owner reads, and nothing else", async () => {
  const token = await loadOrCreateToken(dataDir);
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect((await stat(join(dataDir, "token"))).mode & 0o777).toBe(0o600);
  expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
  expect(await readdir(dataDir)).toEqual(["token"]);
});

test("later starts find the same token", async () => {
  expect(await loadOrCreateToken(dataDir)).toBe(await loadOrCreateToken(dataDir));
});

test("servers that start at once agree", async () => {
  for (let round = 0; round < 20; round += 1) {
    const folder = join(root, `${round}`);
    const starts = Array.from({ length: 10 }, (_, n) => sleep(n / 2).then(() => loadOrCreateToken(folder)));
    expect(new Set(await Promise.all(starts)).size).toBe(1);
    expect(await readdir(folder)).toEqual(["token"]);
  }
});

test("the token of another data directory is another one", async () => {
  expect(await loadOrCreateToken(dataDir)).not.toBe(await loadOrCreateToken(join(root, "other")));
});

test.each([0o644, 0o640, 0o604, 0o620])("a file that others can reach is refused: mode %o", async (mode) => {
  await loadOrCreateToken(dataDir);
  await chmod(join(dataDir, "token"), mode);
  await expect(loadOrCreateToken(dataDir)).rejects.toThrow(/is open to other users .* chmod 600/);
});

test.each(["", "short", "has spaces in it and is quite long enough for a token"])(
  "a file without a token is refused: %j",
  async (content) => {
    await loadOrCreateToken(dataDir);
    await writeFile(join(dataDir, "token"), content);
    await expect(loadOrCreateToken(dataDir)).rejects.toThrow(/holds no token; remove it/);
  },
);
