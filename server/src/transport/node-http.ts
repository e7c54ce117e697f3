import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

/** A request of either HTTP version, as node gives it. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void;

/** Sends a whole response. */
export function sendResponse(
  response: HttpResponse,
  {
    status,
    headers = {},
    body,
  }: { readonly status: number; readonly headers?: Record<string, string>; readonly body?: Uint8Array },
): void {
  // The caller may be gone already.
  response.on("error", () => undefined);
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (body === undefined) response.end();
  else response.end(body);
}
