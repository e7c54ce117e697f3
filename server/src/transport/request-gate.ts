import { cors } from "@connectrpc/connect";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import type { Logger } from "pino";
import { DomainError } from "../domain/errors.js";
import { checkRequestOrigin, type OriginPolicy, type OriginRefusal } from "../security/hosts.js";
import { toConnectError } from "./errors.js";
import { type HttpHandler, type HttpResponse, sendResponse } from "./node-http.js";

export interface RequestGateOptions {
  readonly policy: OriginPolicy;
  readonly log: Logger;
  readonly handler: HttpHandler;
}

/** Stands before everything else: refuses foreign hosts and origins, and answers the browser's questions about CORS. */
export function createRequestGate({ policy, log, handler }: RequestGateOptions): HttpHandler {
  return (request, response) => {
    const refusal = checkRequestOrigin(request.headers, policy);
    if (refusal !== undefined) {
      sendRefusal({ refusal, response, log });
      return;
    }
    const { origin } = request.headers;
    if (origin !== undefined) allowOrigin(response, origin);
    if (request.method === "OPTIONS") sendResponse(response, { status: 204, headers: preflightHeaders });
    else handler(request, response);
  };
}

function sendRefusal({
  refusal,
  response,
  log,
}: {
  readonly refusal: OriginRefusal;
  readonly response: HttpResponse;
  readonly log: Logger;
}): void {
  log.warn(refusal, "request refused: foreign host or origin");
  const error = toConnectError(new DomainError("HOST_NOT_ALLOWED", { ...refusal }), log);
  sendResponse(response, {
    status: 403,
    headers: { "content-type": "application/json" },
    body: errorToJsonBytes(error, undefined),
  });
}

function allowOrigin(response: HttpResponse, origin: string): void {
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("access-control-expose-headers", cors.exposedHeaders.join(", "));
  response.setHeader("vary", "Origin");
}

const preflightHeaders = {
  "access-control-allow-methods": cors.allowedMethods.join(", "),
  "access-control-allow-headers": ["Authorization", ...cors.allowedHeaders].join(", "),
  "access-control-max-age": "7200",
};
