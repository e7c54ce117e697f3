import type { ErrorReason } from "@agent-manager/sdk/proto";

/** A reason of the error catalogue without the enum's prefix, as it travels in google.rpc.ErrorInfo. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** One request field that is wrong, in the form of google.rpc.BadRequest. */
export interface FieldViolation {
  /** Dot-separated path in the request, for example "task.project_root". */
  readonly field: string;
  readonly description: string;
}

/** One thing that stood in the way, in the form of google.rpc.PreconditionFailure. */
export interface PreconditionViolation {
  readonly type: string;
  readonly subject: string;
  readonly description: string;
}

export interface DomainErrorDetails {
  readonly fields?: readonly FieldViolation[];
  readonly preconditions?: readonly PreconditionViolation[];
  /** For reasons that are worth trying again: after this long. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/**
 * A refusal with its reason and the values it knows. It has no wire code and no sentence: the transport looks
 * both up in the one catalogue.
 */
export class DomainError extends Error {
  override readonly name = "DomainError";

  constructor(
    readonly reason: Reason,
    readonly values: Readonly<Record<string, string>> = {},
    readonly details: DomainErrorDetails = {},
  ) {
    super(reason, details.cause === undefined ? undefined : { cause: details.cause });
  }
}

/** The error for a request whose fields are wrong. */
export function invalidRequest(...fields: readonly FieldViolation[]): DomainError {
  const first = fields[0];
  return new DomainError(
    "INVALID_REQUEST",
    { field: first?.field ?? "", problem: first?.description ?? "" },
    { fields },
  );
}
