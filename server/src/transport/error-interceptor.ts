import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import type { Logger } from "pino";
import { DomainError } from "../domain/errors.js";
import { endOnAbort } from "./abortable-stream.js";
import { toConnectError } from "./errors.js";

/** Makes every error of a handler a wire error. Also ends a stream when its call is over, whatever its handler does. */
export function errorInterceptor(log: Logger): Interceptor {
  return (next) => async (request) => {
    const convert = (error: unknown) => toCallError({ error, request, log });
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: endOnAbort({ messages: response.message, signal: request.signal, convert }) };
    } catch (error) {
      throw convert(error);
    }
  };
}

interface FailedCall {
  readonly error: unknown;
  readonly request: UnaryRequest | StreamRequest;
  readonly log: Logger;
}

function toCallError({ error, request, log }: FailedCall): ConnectError {
  const callLog = log.child({ method: `${request.service.typeName}/${request.method.name}` });
  // Whatever a handler throws once its signal has fired (an AbortError, a broken socket, a query cut short) is
  // the consequence: the reason of the signal is the cause.
  if (request.signal.aborted && !(error instanceof DomainError))
    return toConnectError(abortReason(request.signal), callLog);
  return toConnectError(error, callLog);
}

/** The deadline and the server's leaving give their own error; anything else means that the caller hung up. */
function abortReason({ reason }: AbortSignal): ConnectError {
  if (reason instanceof ConnectError && ownAbortCodes.has(reason.code)) return reason;
  return new ConnectError("the call was cancelled", Code.Canceled);
}

const ownAbortCodes: ReadonlySet<Code> = new Set([Code.DeadlineExceeded, Code.Unavailable]);
