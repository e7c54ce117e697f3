import { RunOutcome } from "@agent-manager/sdk/proto";
import type { AgentEnding } from "./spool-translator.js";

/** How a run ended, in the words of the API. */
export interface RunEnding {
  readonly outcome: RunOutcome;
  readonly reason: string;
  readonly retryTimeMs: number | null;
}

/** The shell of the launch gate exits with these when it cannot start the program. */
const CANNOT_EXECUTE: ReadonlySet<number> = new Set([126, 127]);

/** A protocol that says how it ended is believed; only where it says nothing does the process decide. */
export function describeEnding({ outcome, exit }: AgentEnding): RunEnding {
  switch (outcome.kind) {
    case "finished":
      return ending(RunOutcome.SUCCEEDED, "");
    case "maxTurns":
      return ending(RunOutcome.MAX_TURNS, "the agent reached its turn limit");
    case "budgetExceeded":
      return ending(RunOutcome.BUDGET_EXCEEDED, "the agent reached its budget");
    case "rateLimited":
      return { ...ending(RunOutcome.RATE_LIMITED, outcome.text), retryTimeMs: outcome.retryTimeMs };
    case "unavailable":
      return ending(RunOutcome.RUNNER_UNAVAILABLE, outcome.text);
    case "failed":
      return describeStop(exit) ?? ending(RunOutcome.RUNNER_ERROR, outcome.text);
    case "interrupted":
      return describeStop(exit) ?? describeExit(exit, outcome.text);
    default:
      return outcome satisfies never;
  }
}

function describeStop({ cause }: AgentEnding["exit"]): RunEnding | undefined {
  switch (cause) {
    case "stop":
      return ending(RunOutcome.STOPPED, "stopped on request");
    case "timeout":
      return ending(RunOutcome.TIMED_OUT, "the time limit was reached");
    case "inactivity":
      return ending(RunOutcome.TIMED_OUT, "the agent wrote nothing for too long");
    case "shutdown":
      return ending(RunOutcome.LOST, "the run's supervisor was told to end, for example by a shutdown of the machine");
    case "outputQuota":
      return ending(RunOutcome.RESOURCE_EXHAUSTED, "the agent wrote more output than is allowed");
    case "diskFull":
      return ending(RunOutcome.RESOURCE_EXHAUSTED, "the disk was full for too long");
    case null:
      return undefined;
    default:
      return cause satisfies never;
  }
}

function describeExit(exit: AgentEnding["exit"], text: string): RunEnding {
  if (exit.spawnError !== null)
    return ending(RunOutcome.RUNNER_UNAVAILABLE, `cannot start the agent: ${exit.spawnError}`);
  if (exit.code !== null && CANNOT_EXECUTE.has(exit.code)) {
    return ending(RunOutcome.RUNNER_UNAVAILABLE, "the agent's program cannot be started; see the log events");
  }
  return ending(RunOutcome.RUNNER_ERROR, text);
}

function ending(outcome: RunOutcome, reason: string): RunEnding {
  return { outcome, reason, retryTimeMs: null };
}
