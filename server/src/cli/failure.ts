import { AgentManagerError, InvalidArgumentError, isReason, UnavailableError } from "@agent-manager/sdk";
import { exitCodes } from "./exit-codes.js";
import { plainText } from "./untrusted.js";

/** The command was called wrongly. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something is missing that the person can mend. */
export class CommandError extends Error {
  override readonly name = "CommandError";

  constructor(
    message: string,
    readonly exitCode: number = exitCodes.failed,
  ) {
    super(message);
  }
}

/** What an error looks like to a person: sentences, no stack. */
export function describeFailure(error: unknown): string {
  const lines = [error instanceof Error ? error.message : String(error)];
  if (error instanceof AgentManagerError) {
    lines.push(...error.fieldViolations.slice(1).map(({ field, description }) => `  ${field}: ${description}`));
    lines.push(...error.preconditions.map(({ subject, description }) => `  ${subject}: ${description}`));
    lines.push(...hintsFor(error));
  }
  return plainText(lines.filter((line) => line !== "").join("\n"));
}

/** How the command ends with this error. */
export function failureExitCode(error: unknown): number {
  if (error instanceof CommandError) {
    return error.exitCode;
  }
  if (error instanceof UnavailableError) {
    return exitCodes.unreachable;
  }
  return error instanceof UsageError || error instanceof InvalidArgumentError ? exitCodes.usage : exitCodes.failed;
}

function hintsFor(error: AgentManagerError): readonly string[] {
  if (isReason(error, "UNAUTHENTICATED")) {
    return ["give the token with --token, AGENT_MANAGER_TOKEN, or the data directory of that server with --data-dir"];
  }
  if (isReason(error, "APPLY_CONFLICT")) {
    return ["nothing was written; bring the project back in line and approve again, or reject the run"];
  }
  if (error instanceof UnavailableError && error.reason === "") {
    return ["start it with `agent-manager serve`, or leave out --url and AGENT_MANAGER_URL to have one started"];
  }
  return [];
}
