import { type AgentManager, isReason, type RunHandle } from "@agent-manager/sdk";
import { CommandError, UsageError } from "./failure.js";
import { plainLine } from "./untrusted.js";

/** How many recent runs a short name is looked up in. */
const recentRuns = 500;

/** Ids begin with their time, so their ends tell runs apart. */
export function shortId(runId: string): string {
  return runId.slice(-8);
}

/** Finds the run that a person named: a full id, a unique beginning or end of a recent one, or "last". */
export async function findRun(am: AgentManager, reference: string): Promise<RunHandle> {
  if (/^[0-9a-f-]{36}$/i.test(reference)) {
    return await getRun(am, reference.toLowerCase());
  }
  const wanted = reference.toLowerCase();
  const found: RunHandle[] = [];
  let seen = 0;
  for await (const run of am.runs.list({}, { pageSize: 100 })) {
    if (reference === "last") {
      return run;
    }
    if (run.id.startsWith(wanted) || run.id.endsWith(wanted)) {
      found.push(run);
    }
    if (++seen >= recentRuns) {
      break;
    }
  }
  return onlyOne(found, reference);
}

async function getRun(am: AgentManager, runId: string): Promise<RunHandle> {
  try {
    return await am.runs.get(runId);
  } catch (error) {
    throw isReason(error, "RUN_NOT_FOUND") ? noRun(runId) : error;
  }
}

function onlyOne(found: readonly RunHandle[], reference: string): RunHandle {
  const [run, another] = found;
  if (run === undefined) {
    throw noRun(reference);
  }
  if (another !== undefined) {
    const list = found.slice(0, 10).map((each) => `  ${each.id}  ${plainLine(each.snapshot.title)}`);
    throw new UsageError(`${found.length} runs match "${reference}"; give more of the id:\n${list.join("\n")}`);
  }
  return run;
}

function noRun(reference: string): CommandError {
  return new CommandError(`there is no run "${reference}"; see \`agent-manager runs\``);
}
