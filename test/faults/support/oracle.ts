import { RunOutcome, RunState } from "@agent-manager/sdk/proto";
import type { Db } from "../../../server/src/store/schema.js";
import type { Expectation } from "./expectation.js";
import { type Ledger, type OutputStream, readLedger } from "./ledger.js";
import { checkLogClaims } from "./log-claims.js";
import { describeProcess, findByEnvironment, findByFolder, findMounts } from "./processes.js";
import { type RunRecord, readRunRecord } from "./run-record.js";

/** A promise of the product does not hold. */
export class PromiseBroken extends Error {
  override readonly name = "PromiseBroken";

  constructor(readonly problems: readonly string[]) {
    super(`promises broken:\n- ${problems.slice(0, 20).join("\n- ")}`);
  }
}

/** A run and how it is to have ended. */
export interface ExpectedRun {
  readonly id: string;
  readonly expectation: Expectation;
}

export interface Evidence {
  readonly db: Db;
  readonly runs: readonly ExpectedRun[];
  /** Where the agents keep their ledgers. */
  readonly ledgers: string;
}

/** Judges everything that the runs of a test left in the log and on the machine. Throws PromiseBroken. */
export async function judge({ db, runs, ledgers }: Evidence): Promise<void> {
  const problems = [...(await checkLogClaims(db))];
  for (const run of runs) {
    const [record, ledger] = await Promise.all([readRunRecord(db, run.id), readLedger(ledgers, run.id)]);
    const found = [
      ...record.problems,
      ...checkLines(ledger, record, run.expectation),
      ...checkEnd(record, run.expectation),
      ...checkLaunches(ledger, record, run.expectation),
      ...(await checkRow(db, run.id, record)),
    ];
    problems.push(...found.map((problem) => `run ${run.id}: ${problem}`));
  }
  const alive = await findByEnvironment(new Set(runs.map(({ id }) => `AGENT_MANAGER_RUN_ID=${id}`)));
  problems.push(...(await Promise.all(alive.map(async (pid) => `still runs: ${await describeProcess(pid)}`))));
  if (problems.length > 0) throw new PromiseBroken(problems);
}

/** Judges what is left once every server has gone. Throws PromiseBroken. */
export async function judgeLeftovers(folder: string, temporaryFiles: readonly string[]): Promise<void> {
  const [pids, mounts] = await Promise.all([findByFolder(folder), findMounts(folder)]);
  const problems = [
    ...(await Promise.all(pids.map(async (pid) => `left behind: process ${await describeProcess(pid)}`))),
    ...mounts.map((path) => `left behind: mount ${path}`),
    ...temporaryFiles.map((path) => `left behind: temporary file ${path}`),
  ];
  if (problems.length > 0) throw new PromiseBroken(problems);
}

function checkLines(ledger: Ledger, record: RunRecord, { lines }: Expectation): readonly string[] {
  if (lines === "unjudged") return [];
  return (["stdout", "stderr"] as const).flatMap((stream) => {
    const wanted = ledger.lines[stream];
    const logged = record.lines[stream].filter(isOurs(wanted, record, stream, lines));
    if (lines === "all" && wanted.length !== logged.length) {
      return [
        `${stream}: the agent wrote ${wanted.length} lines and the log has ${logged.length}${difference(wanted, logged)}`,
      ];
    }
    const wrong = logged.findIndex((hash, index) => hash !== wanted[index]);
    return wrong === -1
      ? []
      : [`${stream}: line ${wrong + 1} of the log is not what the agent wrote${difference(wanted, logged)}`];
  });
}

/** In a run that was cut off, the last line may be half a line: it is logged, and in no ledger. */
function isOurs(wanted: readonly string[], record: RunRecord, stream: OutputStream, lines: Expectation["lines"]) {
  const known = new Set(wanted);
  const last = record.lines[stream].length - 1;
  return (hash: string, index: number) => lines === "all" || index !== last || known.has(hash);
}

function difference(wanted: readonly string[], logged: readonly string[]): string {
  const known = new Set(wanted);
  const repeated = logged.length - new Set(logged).size;
  const foreign = logged.filter((hash) => !known.has(hash)).length;
  const have = new Set(logged);
  const missing = wanted.filter((hash) => !have.has(hash)).length;
  return ` (${missing} missing, ${repeated} repeated, ${foreign} that it did not write)`;
}

function checkEnd(record: RunRecord, { outcomes, state, exitCode }: Expectation): readonly string[] {
  const problems: string[] = [];
  if (record.state !== state) problems.push(`it is ${RunState[record.state]} and not ${RunState[state]}`);
  if (!outcomes.includes(record.outcome)) {
    const wanted = outcomes.map((outcome) => RunOutcome[outcome]).join(" or ");
    problems.push(`its outcome is ${RunOutcome[record.outcome]} and not ${wanted}`);
  }
  if (exitCode !== undefined && (record.exitCodes.length !== 1 || record.exitCodes[0] !== exitCode)) {
    problems.push(`its agent ended with ${exitCode} and the log says ${record.exitCodes.join(", ") || "nothing"}`);
  }
  return problems;
}

function checkLaunches(
  { starts, prompts }: Ledger,
  { launches }: RunRecord,
  { lines }: Expectation,
): readonly string[] {
  const problems: string[] = [];
  if (starts > launches) problems.push(`its agent was started ${starts} times and the log knows of ${launches}`);
  const least = lines === "prefix" ? 0 : 1;
  if (starts > 1 || starts < least) problems.push(`its agent was started ${starts} times`);
  if (prompts > 1 || prompts < least) problems.push(`its agent got its prompt ${prompts} times`);
  return problems;
}

/** The run's row is a fold of its events, whatever died between the two. */
async function checkRow(db: Db, runId: string, record: RunRecord): Promise<readonly string[]> {
  const row = await db.selectFrom("run").selectAll().where("run_id", "=", runId).executeTakeFirstOrThrow();
  const told = { state: record.state, outcome: record.outcome, session_id: record.sessionId, result: record.result };
  return Object.entries(told).flatMap(([name, value]) => {
    const stored = row[name as keyof typeof told]; // the names of `told`
    return stored === value ? [] : [`its ${name} is ${stored}, and its events say ${value}`];
  });
}
