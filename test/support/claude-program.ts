import { access, constants, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type FixtureResponse, LLMock } from "@copilotkit/aimock";
import { execa } from "execa";

/** The version that the recordings were made with; the newest ones need a newer Node than this project. */
export const claudeVersion = "2.1.197";

const packageName = "@anthropic-ai/claude-code";
const cache = join(import.meta.dirname, "../../.cache/runners");

/**
 * The path of a real claude, installed once by npm into a cache folder apart from the project's own
 * dependencies.
 */
export async function installClaude(): Promise<string> {
  const folder = join(cache, `claude-code-${claudeVersion}`);
  const present = await findProgram(folder);
  if (present !== undefined) return present;
  await mkdir(cache, { recursive: true });
  // Installed beside and renamed, so that a broken download or a second test run leaves nothing half made.
  const fresh = await mkdtemp(join(cache, "install-"));
  await writeFile(
    join(fresh, "package.json"),
    JSON.stringify({ private: true, allowScripts: { [packageName]: true } }),
  );
  await execa("npm", ["install", "--prefix", fresh, "--no-audit", "--no-fund", `${packageName}@${claudeVersion}`], {
    cwd: fresh,
    timeout: 240_000,
  });
  await rename(fresh, folder).catch(() => rm(fresh, { recursive: true, force: true }));
  const program = await findProgram(folder);
  if (program === undefined) throw new Error(`npm installed ${packageName}, but no program is in ${folder}`);
  return program;
}

/** The program that npm's install script puts in place, or the one it would have put there, if scripts are off. */
async function findProgram(folder: string): Promise<string | undefined> {
  const scope = join(folder, "node_modules/@anthropic-ai");
  const candidates = [
    join(scope, `claude-code-${process.platform}-${process.arch}/claude`),
    join(scope, "claude-code/bin/claude.exe"),
  ];
  for (const candidate of candidates) {
    if (
      await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  }
  return undefined;
}

/** What the fake model answers to one request. */
export type ModelStep = FixtureResponse;

export interface FakeModel extends AsyncDisposable {
  /** The address for ANTHROPIC_BASE_URL. */
  readonly url: string;
  /** Variables that make claude use this model. */
  readonly environment: Readonly<Record<string, string>>;
  /** How many requests of the agent were answered. */
  requests(): number;
}

/**
 * Starts a model on loopback that hands out the steps in order, one per request of the agent; after the last it
 * repeats the last. Requests without tools (titles, summaries) get a stock answer.
 */
export async function startFakeModel(steps: readonly ModelStep[]): Promise<FakeModel> {
  const model = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent" });
  let answered = 0;
  const next = (): ModelStep => {
    const step = steps[Math.min(answered, steps.length - 1)] ?? { content: "done" };
    answered += 1;
    return "error" in step ? step : { usage: { input_tokens: 100, output_tokens: 10 }, ...step };
  };
  model.addFixture({ match: { predicate: (request) => (request.tools?.length ?? 0) > 0 }, response: next });
  model.addFixture({ match: { predicate: () => true }, response: { content: "a title" } });
  await model.start();
  return {
    url: model.url,
    environment: { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: "no-real-key" },
    requests: () => answered,
    [Symbol.asyncDispose]: async () => {
      await model.stop();
    },
  };
}

/** A step in which the model calls one tool. */
export function callsTool(name: string, input: unknown): ModelStep {
  return { toolCalls: [{ name, arguments: JSON.stringify(input) }] };
}

/** A step in which the model's provider refuses. */
export function refuses(status: number, type: string, message: string): ModelStep {
  return { error: { message, type }, status };
}
