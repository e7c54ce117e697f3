import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadAuthenticator, sha256 } from "./principals.js";
import { loadOrCreateToken } from "./token.js";

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "am-principals-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const hash = (token: string) => Buffer.from(sha256(token)).toString("hex");
const entry = (name: string, role = "viewer", token = name) => ({ name, role, sha256: hash(token) });
const write = (content: unknown) => writeFile(join(dataDir, "tokens.json"), JSON.stringify(content), { mode: 0o600 });

test("the token of the data directory is the administrator of this machine", async () => {
  const authenticator = await loadAuthenticator(dataDir);
  expect(authenticator.authenticate(await loadOrCreateToken(dataDir))).toEqual({ name: "local", role: "admin" });
});

test("tokens.json adds others by the hash of their token", async () => {
  await write([
    entry("ci", "operator", "secret-1"),
    { ...entry("boss", "reviewer"), sha256: hash("secret-2").toUpperCase() },
  ]);
  const authenticator = await loadAuthenticator(dataDir);
  expect(authenticator.authenticate("secret-1")).toEqual({ name: "ci", role: "operator" });
  expect(authenticator.authenticate("secret-2")).toEqual({ name: "boss", role: "reviewer" });
});

test.each(["", "secret", "secret-11", hash("secret-1")])("nobody holds the token %j", async (token) => {
  await write([entry("ci", "operator", "secret-1")]);
  expect((await loadAuthenticator(dataDir)).authenticate(token)).toBeUndefined();
});

describe("tokens.json is refused with the place of the mistake", () => {
  test.each([
    ["an unknown role", [entry("ci", "root")], /entry 0\.role/],
    [
      "a token instead of its hash",
      [{ name: "ci", role: "viewer", sha256: "secret" }],
      /entry 0\.sha256: must be the SHA-256/,
    ],
    ["a name with spaces", [entry("c i")], /entry 0\.name/],
    ["the name of the data directory's token", [entry("local")], /'local' is the name/],
    ["two of one name", [entry("ci", "viewer", "a"), entry("ci", "viewer", "b")], /names must differ/],
    ["two of one token", [entry("a", "viewer", "t"), entry("b", "admin", "t")], /tokens must differ/],
    ["an unknown field", [{ ...entry("ci"), token: "t" }], /entry 0/],
    ["an object", {}, /is wrong/],
  ])("%s", async (_what, content, message) => {
    await write(content);
    await expect(loadAuthenticator(dataDir)).rejects.toThrow(message);
  });

  test("no JSON", async () => {
    await writeFile(join(dataDir, "tokens.json"), "[", { mode: 0o600 });
    await expect(loadAuthenticator(dataDir)).rejects.toThrow(/tokens\.json is no JSON/);
  });

  test("a file that others can change", async () => {
    await write([]);
    await chmod(join(dataDir, "tokens.json"), 0o666);
    await expect(loadAuthenticator(dataDir)).rejects.toThrow(/can be changed by other users; run: chmod 600/);
  });
});
