import { Code } from "@connectrpc/connect";
import type { ErrorReason } from "./gen/agent_manager/v1/error_reason_pb.js";

/** A reason of the service's error catalogue, for example "RUN_NOT_FOUND". */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** One field of the request that is wrong. */
export interface FieldViolation {
  /** Dot-separated path in the request, for example "task.project_root". */
  readonly field: string;
  readonly description: string;
}

/** One thing that stood in the way, for example a file that the project changed in between. */
export interface PreconditionViolation {
  /** What kind of thing, for example "CONTENT". */
  readonly type: string;
  /** Which one, for example the file's path. */
  readonly subject: string;
  readonly description: string;
}

/** What an error is made of. */
export interface AgentManagerErrorDetails {
  readonly code: Code;
  readonly reason?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly fieldViolations?: readonly FieldViolation[];
  readonly preconditions?: readonly PreconditionViolation[];
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/**
 * Everything that this SDK throws, except the reason of an aborted `AbortSignal`, which is thrown as it is. Tell
 * errors apart by class (`NotFoundError`) or by reason (`isReason(error, "RUN_NOT_FOUND")`); the message is a
 * sentence for people and may change.
 */
export class AgentManagerError extends Error {
  override readonly name: string = "AgentManagerError";
  /** The wire code. */
  readonly code: Code;
  /** The catalogue's reason; empty if the error did not come from the service, for example a refused connection. */
  readonly reason: Reason | (string & {});
  /** The values in the sentence, by name, for example `{ run_id: "..." }`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The fields that are wrong; only with INVALID_REQUEST. */
  readonly fieldViolations: readonly FieldViolation[];
  /** What stood in the way, for example the conflicting files of an approval. */
  readonly preconditions: readonly PreconditionViolation[];
  /** When to try again, in milliseconds from now; undefined if the service did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, details: AgentManagerErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.reason = details.reason ?? "";
    this.metadata = details.metadata ?? {};
    this.fieldViolations = details.fieldViolations ?? [];
    this.preconditions = details.preconditions ?? [];
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** The request is wrong whatever the state: see `fieldViolations`. Repeating it cannot help. */
export class InvalidArgumentError extends AgentManagerError {
  override readonly name = "InvalidArgumentError";
}

/** No token, or a wrong one. */
export class UnauthenticatedError extends AgentManagerError {
  override readonly name = "UnauthenticatedError";
}

/** The token's role does not allow the call. */
export class PermissionDeniedError extends AgentManagerError {
  override readonly name = "PermissionDeniedError";
}

/** What the request names does not exist. */
export class NotFoundError extends AgentManagerError {
  override readonly name = "NotFoundError";
}

/** The name is taken. */
export class AlreadyExistsError extends AgentManagerError {
  override readonly name = "AlreadyExistsError";
}

/** The state does not allow it: see `preconditions`. */
export class FailedPreconditionError extends AgentManagerError {
  override readonly name = "FailedPreconditionError";
}

/** Someone else was faster: read again and decide again. */
export class ConflictError extends AgentManagerError {
  override readonly name = "ConflictError";
}

/** A cursor lies outside the log. */
export class OutOfRangeError extends AgentManagerError {
  override readonly name = "OutOfRangeError";
}

/** A quota or a size limit is reached. */
export class ResourceExhaustedError extends AgentManagerError {
  override readonly name = "ResourceExhaustedError";
}

/** The service cannot be reached or cannot serve now. Retried by the SDK before it is thrown. */
export class UnavailableError extends AgentManagerError {
  override readonly name = "UnavailableError";
}

/** The call took longer than its timeout. */
export class TimeoutError extends AgentManagerError {
  override readonly name = "TimeoutError";
}

/** This server does not implement the method. */
export class UnimplementedError extends AgentManagerError {
  override readonly name = "UnimplementedError";
}

/** A log had a gap, or held something that this SDK does not understand: an error of server or SDK. */
export class DataLossError extends AgentManagerError {
  override readonly name = "DataLossError";
}

/** Something failed inside the service. */
export class InternalError extends AgentManagerError {
  override readonly name = "InternalError";
}

/**
 * Says whether an error has one of these reasons.
 *
 * @example
 * try { await am.runs.get(id); } catch (error) { if (!isReason(error, "RUN_NOT_FOUND")) throw error; }
 */
export function isReason<R extends Reason>(
  error: unknown,
  ...reasons: readonly R[]
): error is AgentManagerError & { readonly reason: R } {
  return error instanceof AgentManagerError && reasons.some((reason) => reason === error.reason);
}

/** Makes the error class that belongs to a wire code. */
export function createError(message: string, details: AgentManagerErrorDetails): AgentManagerError {
  const Class = classes[details.code] ?? InternalError;
  return new Class(message, details);
}

const classes: Partial<Record<Code, typeof AgentManagerError>> = {
  [Code.InvalidArgument]: InvalidArgumentError,
  [Code.Unauthenticated]: UnauthenticatedError,
  [Code.PermissionDenied]: PermissionDeniedError,
  [Code.NotFound]: NotFoundError,
  [Code.AlreadyExists]: AlreadyExistsError,
  [Code.FailedPrecondition]: FailedPreconditionError,
  [Code.Aborted]: ConflictError,
  [Code.OutOfRange]: OutOfRangeError,
  [Code.ResourceExhausted]: ResourceExhaustedError,
  [Code.Unavailable]: UnavailableError,
  [Code.DeadlineExceeded]: TimeoutError,
  [Code.Unimplemented]: UnimplementedError,
  [Code.DataLoss]: DataLossError,
  [Code.Internal]: InternalError,
};
