import { ErrorClass } from "@agent-manager/sdk/proto";

/** Why a turn failed, sorted. */
export interface Failure {
  readonly class: ErrorClass;
  /** A name for programs: the program's own where it gives one. */
  readonly code: string;
  readonly text: string;
  readonly httpStatus: number;
}

export interface FailureFacts {
  /** The `error` of the last synthetic assistant frame, for example "billing_error"; empty if there was none. */
  readonly apiError: string;
  /** The HTTP status that the result states; 0 if none. */
  readonly httpStatus: number;
  readonly text: string;
}

interface Sort {
  readonly class: ErrorClass;
  readonly code: string;
}

/** Sorts by the program's own error name, then by HTTP status, then by what the text says. */
export function sortFailure(facts: FailureFacts): Failure {
  // The program calls an overloaded provider a server error, as any other 5xx.
  const overloaded = facts.httpStatus === 529 ? byName.get("overloaded") : undefined;
  const sort = overloaded ?? byName.get(facts.apiError) ?? byStatus(facts.httpStatus) ?? byText(facts.text) ?? unknown;
  return { ...sort, text: facts.text, httpStatus: facts.httpStatus };
}

/** What to do about a failure, in words. */
export function recoveryOf({ class: kind, code }: Failure): string {
  switch (kind) {
    case ErrorClass.AUTHENTICATION:
      return "sign in again: set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN in the server's environment";
    case ErrorClass.QUOTA:
      return "add credit to the account of the key in use, or use another key";
    case ErrorClass.RATE_LIMIT:
      return "wait until the limit is lifted and continue the run, or use another runner";
    case ErrorClass.CONFIGURATION:
      return code === "model_not_found" ? "name another model in the run's config" : "correct the run's config";
    case ErrorClass.TRANSIENT:
      return "try again; if it stays, check the connection to the model endpoint";
    case ErrorClass.UNSPECIFIED:
    case ErrorClass.AGENT:
    case ErrorClass.INTERNAL:
      return "read the run's last events and output";
    default:
      return kind satisfies never;
  }
}

export function retryable(kind: ErrorClass): boolean {
  return kind === ErrorClass.RATE_LIMIT || kind === ErrorClass.TRANSIENT;
}

const unknown: Sort = { class: ErrorClass.AGENT, code: "runner_error" };

const byName: ReadonlyMap<string, Sort> = new Map(
  [
    [ErrorClass.AUTHENTICATION, "authentication_failed"] as const,
    [ErrorClass.AUTHENTICATION, "oauth_org_not_allowed"] as const,
    [ErrorClass.QUOTA, "billing_error"] as const,
    [ErrorClass.RATE_LIMIT, "rate_limit"] as const,
    [ErrorClass.TRANSIENT, "overloaded"] as const,
    [ErrorClass.TRANSIENT, "server_error"] as const,
    [ErrorClass.CONFIGURATION, "model_not_found"] as const,
    [ErrorClass.CONFIGURATION, "invalid_request"] as const,
    [ErrorClass.AGENT, "max_output_tokens"] as const,
  ].map(([kind, code]) => [code, { class: kind, code }]),
);

function byStatus(status: number): Sort | undefined {
  if (status === 401 || status === 403) return byName.get("authentication_failed");
  if (status === 402) return byName.get("billing_error");
  if (status === 404) return byName.get("model_not_found");
  if (status === 429) return byName.get("rate_limit");
  if (status === 529) return byName.get("overloaded");
  if (status >= 500) return byName.get("server_error");
  return status >= 400 ? byName.get("invalid_request") : undefined;
}

function byText(text: string): Sort | undefined {
  if (/not logged in|invalid api key|please run \/login/i.test(text)) return byName.get("authentication_failed");
  if (/credit balance is too low/i.test(text)) return byName.get("billing_error");
  if (/hit your .{0,40}limit/i.test(text)) return byName.get("rate_limit");
  if (/no conversation found/i.test(text)) return { class: ErrorClass.CONFIGURATION, code: "session_not_found" };
  return undefined;
}
