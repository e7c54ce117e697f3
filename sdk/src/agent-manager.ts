import type { Transport } from "@connectrpc/connect";
import { type CallOptions, createCall } from "./call.js";
import { type Clients, createClients } from "./clients.js";
import { HealthCheckResponse_ServingStatus as ServingStatus } from "./gen/grpc/health/v1/health_pb.js";
import { Policies } from "./policies.js";
import { Profiles } from "./profiles.js";
import { Runners } from "./runners.js";
import { Runs } from "./runs.js";
import { Tasks } from "./tasks.js";

/** Options of every `createAgentManager`. */
export interface CommonOptions {
  /** The service's address, for example "http://127.0.0.1:7717". */
  readonly url?: string;
  /** The bearer token. */
  readonly token?: string;
  /** Sends calls through this transport instead; address, token and headers are then its business. */
  readonly transport?: Transport;
  /** Sends calls through this `fetch`, which means HTTP/1.1 or whatever it speaks. */
  readonly fetch?: typeof globalThis.fetch;
  /** Headers of every call. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How often an unavailable call is repeated. Default: 4, within about two seconds. */
  readonly maxRetries?: number;
}

/** "serving": calls are answered. "notServing": the service is there but not ready, or has lost its database. */
export type HealthStatus = "serving" | "notServing";

/** A client of one service. Make it with `createAgentManager`; one per program is enough. */
export class AgentManager {
  /** The generated clients, for everything that the layer above does not cover. */
  readonly clients: Clients;
  /** The named ways of running an agent. */
  readonly profiles: Profiles;
  /** The things to be done. */
  readonly tasks: Tasks;
  /** Executions of tasks. */
  readonly runs: Runs;
  /** What is allowed. */
  readonly policies: Policies;
  /** The agent programs. */
  readonly runners: Runners;
  readonly #close: () => void;

  constructor(connection: {
    readonly transport: Transport;
    readonly close: () => void;
    readonly maxRetries?: number | undefined;
  }) {
    this.clients = createClients(connection.transport);
    const call = createCall(connection.maxRetries ?? 4);
    this.profiles = new Profiles(this.clients, call);
    this.tasks = new Tasks(this.clients, call);
    this.runs = new Runs(this.clients, call);
    this.policies = new Policies(this.clients, call);
    this.runners = new Runners(this.clients, call);
    this.#close = connection.close;
  }

  /** Asks whether the service serves. Needs no token; is not repeated. Throws `UnavailableError` if nobody answers. */
  async health(options?: CallOptions): Promise<HealthStatus> {
    const answer = await createCall(0)((rpc) => this.clients.health.check({}, rpc), options);
    return answer.status === ServingStatus.SERVING ? "serving" : "notServing";
  }

  /** Closes the connections; calls and streams that are open fail. A program may also just end. */
  close(): void {
    this.#close();
  }
}
