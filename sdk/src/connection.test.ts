import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findConnection } from "./connection.js";

let dataDir = "";
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "sdk-connection-"));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

test("options win over the environment, which wins over the data directory", () => {
  writeFileSync(join(dataDir, "server.json"), '{"pid":1,"url":"http://127.0.0.1:3"}');
  writeFileSync(join(dataDir, "token"), "from-file\n");
  const env = { AGENT_MANAGER_HOME: dataDir, AGENT_MANAGER_URL: "http://127.0.0.1:2", AGENT_MANAGER_TOKEN: "from-env" };
  expect(findConnection({ url: "http://127.0.0.1:1", token: "from-option" }, env)).toEqual({
    url: "http://127.0.0.1:1",
    urlSource: "option",
    token: "from-option",
    tokenSource: "option",
    dataDir,
  });
  expect(findConnection({}, env)).toMatchObject({ urlSource: "environment", token: "from-env" });
  expect(findConnection({ dataDir }, {})).toMatchObject({
    url: "http://127.0.0.1:3",
    urlSource: "dataDir",
    token: "from-file",
  });
});

test("with nothing there the default address is taken and no token", () => {
  expect(findConnection({ dataDir }, {})).toMatchObject({
    url: "http://127.0.0.1:7717",
    urlSource: "default",
    token: "",
    tokenSource: "none",
  });
});

test("a half-written server file counts as absent", () => {
  writeFileSync(join(dataDir, "server.json"), '{"pid":1,"u');
  expect(findConnection({ dataDir }, {}).urlSource).toBe("default");
});
