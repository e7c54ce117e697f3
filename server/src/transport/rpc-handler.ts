import {
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import { DomainError } from "../domain/errors.js";
import { principalKey } from "../security/principal-context.js";
import type { Authenticator } from "../security/principals.js";
import { authenticate, refusalInterceptor, refusalKey } from "./authentication.js";
import { drainInterceptor } from "./draining.js";
import { errorInterceptor } from "./error-interceptor.js";
import { toConnectError } from "./errors.js";
import { maxTimeoutMs, readMaxBytes, writeMaxBytes } from "./limits.js";
import { loggingInterceptor } from "./logging.js";
import { isEnveloped, limitMessages } from "./message-limit.js";
import { type HttpHandler, type HttpRequest, type HttpResponse, sendResponse } from "./node-http.js";
import { validationInterceptor } from "./validation.js";

export interface RpcHandlerOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** Run inside the listener's own ones, before the request is validated. */
  readonly interceptors: readonly Interceptor[];
  readonly authenticator: Authenticator;
  readonly log: Logger;
  /** Ends open streams when it fires. */
  readonly draining: AbortSignal;
  /** Ends every call when it fires. */
  readonly shutdown: AbortSignal;
}

/** Serves gRPC, gRPC-Web and Connect to requests whose origin was checked. */
export function createRpcHandler(options: RpcHandlerOptions): HttpHandler {
  const handlers = new Map(createRouter(options).handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    if (handler === undefined) sendUnknownPath({ path, response, log: options.log });
    else void serve({ handler, request, response, options });
  };
}

function createRouter({ routes, interceptors, log, draining, shutdown }: RpcHandlerOptions): ConnectRouter {
  const router = createConnectRouter({
    interceptors: [
      loggingInterceptor(log),
      drainInterceptor(draining),
      errorInterceptor(log),
      refusalInterceptor(),
      ...interceptors,
      validationInterceptor(),
    ],
    shutdownSignal: shutdown,
    readMaxBytes,
    writeMaxBytes,
    maxTimeoutMs,
    // gzip takes three times the CPU of everything else in a stream of events, a few hundred bytes each; and a
    // small compressed message could blow up to the read limit. Requests that are compressed are refused.
    acceptCompression: [],
    // People write JSON by hand, and a misspelt field that is ignored does something else than they asked for.
    jsonOptions: { ignoreUnknownFields: false },
  });
  routes(router);
  return router;
}

interface Call {
  readonly handler: UniversalHandler;
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly options: RpcHandlerOptions;
}

async function serve({ handler, request, response, options }: Call): Promise<void> {
  const log = options.log.child({ method: `${handler.service.typeName}/${handler.method.name}` });
  try {
    const values = admit({ handler, request, response, options });
    const body = values.get(refusalKey) === undefined ? limitedBody(request, log) : refusedBody(values, log);
    // Connect waits for room in a stalled client's stream, and forever if that client leaves: it then never learns
    // that the call is over, nor does the handler.
    response.once("close", () => response.emit("drain"));
    const answer = await handler({ ...universalRequestFromNodeRequest(request, response, undefined, values), body });
    await universalResponseToNodeResponse(answer, response);
  } catch (error) {
    // Handlers answer with their errors; what arrives here is a connection that broke under the answer.
    log.debug({ err: error }, "answer could not be sent");
    response.destroy();
  }
}

/** Decides from the headers whether the call may go on. */
function admit({ handler, request, options }: Call): ContextValues {
  const values = createContextValues();
  const method = `${handler.service.typeName}/${handler.method.name}`;
  try {
    const { authorization } = request.headers;
    values.set(principalKey, authenticate({ authenticator: options.authenticator, method, authorization }));
    values.set(refusalKey, options.draining.aborted ? new DomainError("SERVER_SHUTTING_DOWN") : undefined);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    values.set(refusalKey, error);
    // Refused streams reach the interceptors, which log them.
    if (handler.method.methodKind === "unary")
      options.log.warn({ method, reason: error.reason, ...error.values }, "call refused");
  }
  return values;
}

async function* limitedBody(request: HttpRequest, log: Logger): AsyncGenerator<Uint8Array> {
  try {
    // Leaving the loop early must not destroy the request: the answer travels on the same socket.
    const chunks: AsyncIterable<Uint8Array> = request.iterator({ destroyOnReturn: false });
    yield* limitMessages({ chunks, enveloped: isEnveloped(request.headers["content-type"]), limitBytes: readMaxBytes });
  } catch (error) {
    // The rest is thrown away as it comes: an HTTP/1.1 client reads the answer when it has sent everything.
    request.resume();
    throw toConnectError(error, log);
  }
}

/**
 * Stands in for the body of a refused call. Connect reads a unary request whole before any interceptor runs; this
 * way nothing of it is read, and the refusal is answered in the protocol of the request.
 */
// biome-ignore lint/correctness/useYield: the body is the error
async function* refusedBody(values: ContextValues, log: Logger): AsyncGenerator<Uint8Array> {
  throw toConnectError(values.get(refusalKey), log);
}

/** 404 is what gRPC clients take for UNIMPLEMENTED; Connect clients read the body. */
function sendUnknownPath({
  path,
  response,
  log,
}: {
  readonly path: string;
  readonly response: HttpResponse;
  readonly log: Logger;
}): void {
  const error = toConnectError(new DomainError("NOT_IMPLEMENTED", { method: path.slice(1) }), log);
  sendResponse(response, {
    status: 404,
    headers: { "content-type": "application/json" },
    body: errorToJsonBytes(error, undefined),
  });
}
