import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Support } from "@agent-manager/sdk/proto";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { exitCodeHelp } from "../../server/src/cli/exit-codes.js";
import { describeConfig, loadConfig } from "../../server/src/config.js";
import { identifyProcess } from "../../server/src/execution/supervisor/processes.js";
import { runners } from "../../server/src/runners/registry.js";
import { type Block, makeGrpcurl, readSteps, type Shell, type Step, startShell } from "../support/readme.js";
import { createSampleCaller } from "../support/sample-caller.js";
import { sampleRequests } from "../support/sample-requests.js";
import { makeFolder, startServer, type TestServer, testEnvironment } from "../support/server.js";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const bin = join(repository, "node_modules/.bin");
const page = (name: string) => readFileSync(join(repository, name), "utf8");
const readme = page("README.md");
const steps = readSteps(readme);

let folder: Awaited<ReturnType<typeof makeFolder>>;
let home: string;
let shell: Shell;
let server: TestServer | undefined;
/** Where the reader is: the project that the README makes. */
let workingDirectory = repository;

beforeAll(async () => {
  folder = await makeFolder();
  home = join(folder.path, "home");
  await mkdir(home);
  const tools = join(folder.path, "bin");
  if ((await execa("grpcurl", ["-version"], { reject: false })).failed) await makeGrpcurl(tools, join(bin, "buf"));
  const PATH = [tools, dirname(process.execPath), testEnvironment().PATH].join(":");
  const environment = { PATH, HOME: home, TMPDIR: folder.path };
  shell = startShell({ cwd: repository, environment, scratch: folder.path });
});

afterAll(async () => {
  await shell.close();
  await server?.stop();
  await endBackgroundServer();
  await folder.remove();
});

describe("the README's examples, in order", () => {
  for (const step of steps.filter((each) => each.kind === "service" || each.block.marked)) {
    test(titleOf(step), () => follow(step));
  }

  test("all but the two commands and the service are run", () => {
    const unmarked = steps.flatMap((step) => (step.kind === "block" && !step.block.marked ? [step.block.text] : []));
    expect(unmarked).toEqual(["npm ci && npm run demo", "npm ci && npm test", "agent-manager serve"]);
    expect(steps.filter(({ kind }) => kind === "service")).toHaveLength(1);
  });
});

describe("the pages", () => {
  test("the README names the methods that answer UNIMPLEMENTED, and no others", async () => {
    const [, list = ""] = /<!-- unimplemented -->([\s\S]*)<!-- \/unimplemented -->/.exec(readme) ?? [];
    const named = [...list.matchAll(/- `(\w+\/\w+)`(.*)/g)].map(([, method, rest = ""]) => `${method}${rest}`);
    expect(named.sort()).toEqual([...(await findUnimplemented())].sort());
  });

  test("the README's exit codes are those of the command", () => {
    const named = [...readme.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
    expect(named).toEqual(
      [...exitCodeHelp.matchAll(/(\d+) {2}/g)].map(([, code]) => Number(code)).sort((a, b) => a - b),
    );
  });

  test("the configuration table has a row for every setting, with its default", () => {
    const config = describeConfig(loadConfig({ dataDir: "/nonexistent" }, {}));
    const rows = [...page("docs/operations.md").matchAll(/^\| `([a-z_]+)` \|.*\| ([^|]*) \|$/gm)];
    const named = rows.map(([, name, value = ""]) => [name, value.replaceAll("`", "")]);
    const wanted = config.map(({ name, value }) => [name, name === "data_dir" ? "~/.agent-manager" : shown(value)]);
    expect(named.sort()).toEqual(wanted.sort());
  });

  test("the capability table is that of the runner", () => {
    const rows = [...page("docs/runners.md").matchAll(/^\| `([a-z_]+)` \| (yes|partial|no) \| (.*?) ?\|$/gm)];
    const wanted = runners.get("claude-code")?.capabilities.map(({ name, support, limit }) => {
      return [name, Support[support]?.toLowerCase(), limit];
    });
    expect(rows.map(([, ...cells]) => cells)).toEqual(wanted);
  });

  const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...readdirSync(join(repository, "docs")).map(inDocs)];
  test.each(pages)("the links of %s lead somewhere", (name) => {
    const links = [...page(name).matchAll(/\]\(([^)]+)\)/g)].map(([, link = ""]) => link);
    expect(links.filter((link) => !/^https?:/.test(link) && !leads(name, link))).toEqual([]);
  });
});

function titleOf(step: Step): string {
  return step.kind === "service" ? "the service" : `${step.block.heading}: ${step.block.text.split("\n")[0]}`;
}

async function follow(step: Step): Promise<void> {
  if (step.kind === "service") return serve();
  switch (step.block.language) {
    case "sh":
      // the one thing that differs from what a reader does: the port, which may be taken here
      workingDirectory = await shell.run(step.block.text.replaceAll("127.0.0.1:7717", address()));
      return;
    case "ts":
      return runTypeScript(step.block);
    default:
      throw new Error(`nobody knows how to run ${step.block.language}`);
  }
}

function address(): string {
  return server === undefined ? "127.0.0.1:7717" : new URL(server.url).host;
}

async function serve(): Promise<void> {
  await endBackgroundServer();
  server = await startServer({ dataDir: join(home, ".agent-manager"), environment: { HOME: home } });
}

/** Ends the server that a command has started, instead of waiting until it is idle. */
async function endBackgroundServer(): Promise<void> {
  const file = join(home, ".agent-manager/server.json");
  if (!existsSync(file)) return;
  const { pid } = JSON.parse(await readFile(file, "utf8"));
  process.kill(pid, "SIGTERM");
  await vi.waitFor(() => expect(identifyProcess(pid)).toBeUndefined(), { timeout: 15_000 });
}

/** Checks the example's types, and runs it as it is, since it has no annotations; it repairs the project. */
async function runTypeScript({ text }: Block): Promise<void> {
  const source = join(folder.path, "fix.mts");
  await symlink(join(repository, "node_modules"), join(folder.path, "node_modules"));
  await Promise.all([source, join(folder.path, "fix.mjs")].map((path) => writeFile(path, text)));
  const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023", "--types", "node"];
  await execa(join(bin, "tsc"), [...flags, source], { cwd: folder.path });
  const env = { PATH: testEnvironment().PATH ?? "", HOME: home };
  const options = { cwd: workingDirectory, env, extendEnv: false, timeout: 60_000 };
  const repaired = async () => (await readFile(join(workingDirectory, "src/sum.mjs"), "utf8")).includes(", 0)");
  expect(await repaired()).toBe(false);
  await execa(process.execPath, [join(folder.path, "fix.mjs")], options);
  expect(await repaired()).toBe(true);
}

async function findUnimplemented(): Promise<readonly string[]> {
  if (server === undefined) throw new Error("the service is not there");
  const call = createSampleCaller(server.url, server.token);
  const found: string[] = [];
  for (const { name, method, request } of sampleRequests) {
    const failure = await call(method, request);
    expect(failure?.code, name).not.toBe("InvalidArgument"); // it would hide that there is no method behind
    if (failure?.code === "Unimplemented") found.push(name);
    else if (method.input.field.selection !== undefined) {
      const selecting = await call(method, { ...request, selection: { files: ["a"] } });
      if (selecting?.code === "Unimplemented") found.push(`${name} with a selection`);
    }
  }
  return found;
}

/** A default as the table shows it. */
function shown(value: string): string {
  return ["", "[]", "{}"].includes(value) ? "none" : value;
}

function inDocs(name: string): string {
  return `docs/${name}`;
}

function leads(from: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? from : join(dirname(from), path);
  if (!existsSync(join(repository, target))) return false;
  if (anchor === undefined) return true;
  const headings = [...page(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading);
  return headings.some((heading) => slug(heading) === anchor);
}

/** As GitHub makes an anchor of a heading. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, "")
    .replaceAll(" ", "-");
}
