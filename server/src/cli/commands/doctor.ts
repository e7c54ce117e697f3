import { execFile } from "node:child_process";
import { access, constants, mkdir } from "node:fs/promises";
import { promisify } from "node:util";
import { type AgentManager, findConnection, type Runner } from "@agent-manager/sdk";
import { AuthenticationState } from "@agent-manager/sdk/proto";
import type { Context } from "../context.js";
import { exitCodes } from "../exit-codes.js";
import { describeFailure } from "../failure.js";
import type { RegisterCommand } from "../register.js";
import { plainLine } from "../untrusted.js";

/** What one look found. "missing" makes the command fail; "note" is worth knowing. */
interface Finding {
  readonly check: string;
  readonly status: "ok" | "note" | "missing";
  readonly detail: string;
}

export const addDoctorCommand: RegisterCommand = (program, withContext) => {
  program
    .command("doctor")
    .description("Check what agent-manager needs: programs, data directory, service, database, runners.")
    .addHelpText("after", "\nExit codes: 0 everything needed is there, 1 something is missing.")
    .action(
      withContext(async (context) => {
        const findings = [checkNode(), await checkGit(), await checkDataDir(context), ...(await checkService(context))];
        for (const finding of findings) {
          print(context, finding);
        }
        return findings.some(({ status }) => status === "missing") ? exitCodes.failed : exitCodes.done;
      }),
    );
};

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const enough = major > 20 || (major === 20 && minor >= 19);
  return enough
    ? { check: "node", status: "ok", detail: process.versions.node }
    : { check: "node", status: "missing", detail: `${process.versions.node} is too old; install Node 20.19 or newer` };
}

async function checkGit(): Promise<Finding> {
  try {
    const { stdout } = await promisify(execFile)("git", ["--version"], { timeout: 5_000 });
    return { check: "git", status: "ok", detail: plainLine(stdout).replace("git version ", "") };
  } catch {
    return { check: "git", status: "missing", detail: "git is not on the PATH; install it (https://git-scm.com)" };
  }
}

async function checkDataDir(context: Context): Promise<Finding> {
  const { dataDir } = findConnection(context.globals, context.env);
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    return { check: "data directory", status: "ok", detail: dataDir };
  } catch {
    const detail = `${dataDir} cannot be written; choose another with --data-dir or AGENT_MANAGER_HOME`;
    return { check: "data directory", status: "missing", detail };
  }
}

async function checkService(context: Context): Promise<readonly Finding[]> {
  let am: AgentManager | undefined;
  try {
    am = await context.connect();
    const health = await am.health({ timeoutMs: 5_000 });
    const runners = await am.runners.list();
    return [
      { check: "service", status: "ok", detail: findConnection(context.globals, context.env).url },
      health === "serving"
        ? { check: "database", status: "ok", detail: "events can be stored" }
        : { check: "database", status: "missing", detail: "not ready; see the server's log" },
      ...runners.map(checkRunner),
      ...(await checkSandbox(am)),
    ];
  } catch (error) {
    return [{ check: "service", status: "missing", detail: describeFailure(error) }];
  } finally {
    am?.close();
  }
}

/** A runner that is not there is no fault: one is enough, and which one is the person's choice. */
function checkRunner(runner: Runner): Finding {
  const check = `runner ${plainLine(runner.runner)}`;
  if (!runner.installed) {
    return { check, status: "note", detail: plainLine(runner.problem) || "not installed" };
  }
  const signedOut = runner.authentication === AuthenticationState.SIGNED_OUT;
  const words = [runner.version || "unknown version", signedOut ? "signed out" : "", runner.problem];
  const status = signedOut || runner.problem !== "" ? "note" : "ok";
  return { check, status, detail: plainLine(words.filter(Boolean).join(", ")) };
}

/** What isolates is known from the latest run. */
async function checkSandbox(am: AgentManager): Promise<readonly Finding[]> {
  for await (const { snapshot } of am.runs.list({}, { pageSize: 1 })) {
    const { sandbox } = snapshot;
    if (sandbox === undefined) {
      return [];
    }
    const confined = sandbox.confined ? "writes cannot leave it" : "writes are not confined";
    const detail = plainLine([`${sandbox.driver} (${sandbox.provider})`, confined, ...sandbox.notes].join(", "));
    return [{ check: "sandbox", status: sandbox.confined ? "ok" : "note", detail: `${detail}, in the latest run` }];
  }
  return [];
}

function print(context: Context, { check, status, detail }: Finding): void {
  if (context.globals.json) {
    context.printJson({ check, status, detail });
    return;
  }
  const { paint } = context;
  const mark = { ok: paint.green("✓"), note: paint.yellow("!"), missing: paint.red("✗") }[status];
  context.print(`${mark} ${check.padEnd(20)} ${detail}`);
}
