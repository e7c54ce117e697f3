import { AgentManager, type CommonOptions } from "./agent-manager.js";
import { createWebTransport } from "./web-transport.js";

export * from "./exports.js";

/** Options of `createAgentManager` in a browser: address and token are required, or a transport. */
export type AgentManagerOptions = CommonOptions &
  ({ readonly url: string; readonly token: string } | Required<Pick<CommonOptions, "transport">>);

/**
 * Makes a client that speaks Connect over `fetch`. The page's origin must be one that the service allows
 * (`agent-manager serve --allow-origin`).
 */
export function createAgentManager(options: AgentManagerOptions): AgentManager {
  const transport =
    options.transport ??
    createWebTransport({
      url: options.url ?? "",
      token: options.token ?? "",
      headers: options.headers,
      fetch: options.fetch,
    });
  return new AgentManager({ transport, close: () => {}, maxRetries: options.maxRetries });
}
