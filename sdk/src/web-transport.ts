import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { withHeaders } from "./headers.js";

/** A transport over `fetch`. */
export function createWebTransport(options: {
  readonly url: string;
  readonly token: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
}): Transport {
  return createConnectTransport({
    baseUrl: options.url,
    useBinaryFormat: true,
    interceptors: [withHeaders(options)],
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
  });
}
