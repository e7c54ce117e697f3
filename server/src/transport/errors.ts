import { randomUUID } from "node:crypto";
import { ErrorInfoSchema } from "@agent-manager/sdk/proto";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { ValidationError } from "@bufbuild/protovalidate";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { DomainError, invalidRequest } from "../domain/errors.js";
import { recogniseOutsideFailure } from "../domain/outside-failure.js";
import { errorCatalogue } from "./error-catalogue.js";
import { errorDetails, errorDomain } from "./error-details.js";
import { errorText } from "./error-text.js";

/**
 * Turns anything thrown into what the wire says. What nobody foresaw is logged with its stack under an id, and
 * only the id leaves the server: never its text, which may hold paths or SQL.
 */
export function toConnectError(error: unknown, log: Logger): ConnectError {
  if (error instanceof DomainError) return wireError(error);
  const foreign = recogniseOutsideFailure(error);
  if (foreign !== undefined) {
    log.warn({ err: error, reason: foreign.reason }, "call failed for an outside reason");
    return wireError(foreign);
  }
  if (error instanceof ConnectError) return fromConnectError(error, log);
  // What an aborted AbortSignal without a reason of its own throws: the caller hung up.
  if (error instanceof Error && error.name === "AbortError")
    return new ConnectError("the call was cancelled", Code.Canceled);
  return internalError(error, log);
}

function wireError(error: DomainError): ConnectError {
  const entry = errorCatalogue[error.reason];
  return new ConnectError(errorText(entry, error.values), entry.code, undefined, errorDetails(error), error.cause);
}

/** Errors that Connect makes itself: some have a reason, most are protocol errors that speak for themselves. */
function fromConnectError(error: ConnectError, log: Logger): ConnectError {
  if (error.cause instanceof ValidationError) return wireError(invalidFields(error.cause));
  if (hasReason(error)) return error;
  switch (error.code) {
    case Code.ResourceExhausted:
      return wireError(new DomainError("MESSAGE_TOO_LARGE", {}, { cause: error }));
    case Code.Unimplemented:
      return wireError(new DomainError("NOT_IMPLEMENTED", {}, { cause: error }));
    case Code.Internal:
    case Code.Unknown:
    case Code.DataLoss:
      return internalError(error, log);
    default:
      return error;
  }
}

function invalidFields(error: ValidationError): DomainError {
  return invalidRequest(
    ...error.violations.map(({ field, message }) => ({ field: pathToString(field), description: message })),
  );
}

function hasReason(error: ConnectError): boolean {
  return error.details.some(
    (detail) =>
      "desc" in detail &&
      detail.desc.typeName === ErrorInfoSchema.typeName &&
      "domain" in detail.value &&
      detail.value.domain === errorDomain,
  );
}

function internalError(error: unknown, log: Logger): ConnectError {
  const errorId = randomUUID();
  log.error({ err: error, error_id: errorId }, "call failed inside the server");
  return wireError(new DomainError("INTERNAL", { error_id: errorId }));
}
