import type { RunResult, RunResultKind } from "@agent-manager/sdk";

/** Exit codes that are not a run's outcome. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  needsReview: 3,
  rejected: 4,
  unreachable: 10,
  detached: 130,
} as const;

const outcomeCodes: Readonly<Record<RunResultKind, number>> = {
  succeeded: 0,
  noChanges: 0,
  timedOut: 5,
  maxTurns: 6,
  budgetExceeded: 6,
  rateLimited: 7,
  stopped: 8,
  lost: 9,
  resourceExhausted: 1,
  runnerUnavailable: 1,
  runnerError: 1,
  sandboxFailed: 1,
  policyViolation: 1,
  other: 1,
};

/** How a finished run, reviewed or not, leaves the command. */
export function exitCodeOf(result: RunResult): number {
  const code = outcomeCodes[result.kind];
  if (code !== 0) {
    return code;
  }
  switch (result.review) {
    case "pending":
      return exitCodes.needsReview;
    case "rejected":
      return exitCodes.rejected;
    case "approved":
    case "none":
      return exitCodes.done;
    default:
      return result.review satisfies never;
  }
}

/** For the help texts of commands that end with a run. */
export const exitCodeHelp = `
Exit codes:
  0  succeeded (changes applied, or none)     6  turn limit or budget reached
  1  failed                                   7  rate limited
  2  wrong usage                              8  stopped
  3  changes wait for review                  9  lost (machine or supervisor went away)
  4  changes rejected                        10  the service cannot be reached
  5  timed out                              130  left with Ctrl-C; the run goes on`;
