import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import type { Logger } from "pino";
import { principalKey } from "../security/principal-context.js";

type Call = UnaryRequest | StreamRequest;

/** Logs each call when it is over: method, principal, code, duration. Must be the outermost interceptor. */
export function loggingInterceptor(log: Logger): Interceptor {
  return (next) => async (request) => {
    const startedAt = performance.now();
    const end = (error?: unknown) => logCall({ log, request, error, startedAt });
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: loggedStream(response.message, end) };
      end();
      return response;
    } catch (error) {
      end(error);
      throw error;
    }
  };
}

async function* loggedStream<T>(messages: AsyncIterable<T>, end: (error?: unknown) => void): AsyncGenerator<T> {
  // A caller that hangs up makes Connect return the generator without an error.
  let outcome: unknown = new ConnectError("the call was cancelled", Code.Canceled);
  try {
    yield* messages;
    outcome = undefined;
  } catch (error) {
    outcome = error;
    throw error;
  } finally {
    end(outcome);
  }
}

interface EndedCall {
  readonly log: Logger;
  readonly request: Call;
  readonly error: unknown;
  readonly startedAt: number;
}

function logCall({ log, request, error, startedAt }: EndedCall): void {
  const code = error === undefined ? undefined : ConnectError.from(error).code;
  const fields = {
    method: `${request.service.typeName}/${request.method.name}`,
    principal: request.contextValues.get(principalKey)?.name,
    code: code === undefined ? "ok" : codeToString(code),
    duration_ms: Math.round(performance.now() - startedAt),
  };
  const text = error instanceof ConnectError && code !== Code.Internal ? { error: error.rawMessage } : {};
  log[levelOf(code, request)]({ ...fields, ...text }, "call ended");
}

function levelOf(code: Code | undefined, { method }: Call): "debug" | "info" | "warn" | "error" {
  switch (code) {
    case undefined:
      return method.idempotency === Idempotency.NO_SIDE_EFFECTS ? "debug" : "info";
    case Code.Canceled:
    case Code.DeadlineExceeded:
      return "debug"; // how most watches end
    case Code.Internal:
    case Code.Unknown:
    case Code.DataLoss:
      return "error";
    default:
      return "warn";
  }
}
