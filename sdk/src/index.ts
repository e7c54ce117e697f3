import { AgentManager, type CommonOptions } from "./agent-manager.js";
import type { ConnectionOptions } from "./connection.js";
import { NodeTransport } from "./node-transport.js";

export { type Connection, type ConnectionOptions, findConnection } from "./connection.js";
export * from "./exports.js";

/** Options of `createAgentManager` in Node. */
export interface AgentManagerOptions extends CommonOptions, ConnectionOptions {}

/**
 * Makes a client. Without options it finds the service on this machine: address from AGENT_MANAGER_URL, the running
 * server's file in the data directory, or `http://127.0.0.1:7717`; token from AGENT_MANAGER_TOKEN or the data
 * directory. Connects at the first call, with gRPC over one HTTP/2 connection.
 *
 * @example
 * const am = createAgentManager();
 * const run = await am.runs.start({ task: { prompt: "Fix the failing test.", projectRoot: process.cwd() } });
 * for await (const event of run.events()) console.log(event.event.case);
 * const result = await run.wait();
 * if (result.review === "pending") await run.approve();
 */
export function createAgentManager(options: AgentManagerOptions = {}): AgentManager {
  if (options.transport !== undefined) {
    return new AgentManager({ transport: options.transport, close: () => {}, maxRetries: options.maxRetries });
  }
  const transport = new NodeTransport(options);
  return new AgentManager({ transport, close: () => transport.close(), maxRetries: options.maxRetries });
}
