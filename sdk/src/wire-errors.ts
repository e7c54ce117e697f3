import { Code, ConnectError } from "@connectrpc/connect";
import { AgentManagerError, createError } from "./errors.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";

/** Turns whatever a transport threw into an error of this SDK. */
export function fromWire(thrown: unknown): AgentManagerError {
  if (thrown instanceof AgentManagerError) {
    return thrown;
  }
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const retryAfterMs = retryDelayMs(error);
  return createError(sentence(error), {
    code: isConnectionLoss(error) ? Code.Unavailable : error.code,
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    fieldViolations: error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations),
    preconditions: error.findDetails(PreconditionFailureSchema).flatMap((detail) => detail.violations),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    cause: thrown,
  });
}

/**
 * Says whether the connection, not the service, ended a call. The service puts ErrorInfo on every error of its
 * own; what has none was made by the transport, which names a cut connection in many ways: ECONNREFUSED is
 * Unavailable, ECONNRESET Aborted, a stream without trailers Internal or, over Connect, InvalidArgument.
 */
export function isConnectionLoss(thrown: unknown): boolean {
  const error = ConnectError.from(thrown);
  if (error.findDetails(ErrorInfoSchema).length > 0) {
    return false;
  }
  return lossCodes.has(error.code) || error.rawMessage.startsWith("protocol error: missing");
}

const lossCodes: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Aborted,
  Code.Internal,
  Code.Unknown,
  Code.Canceled,
  Code.DataLoss,
]);

function sentence(error: ConnectError): string {
  if (error.findDetails(ErrorInfoSchema).length > 0) {
    return error.rawMessage;
  }
  if (isConnectionLoss(error)) {
    return `the connection to the service failed (${error.rawMessage}); check its address and that it runs`;
  }
  return error.rawMessage;
}

function retryDelayMs(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay === undefined ? undefined : Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1e6);
}
