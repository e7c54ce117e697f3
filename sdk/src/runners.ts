import { type Call, type CallOptions, expectField } from "./call.js";
import type { Clients } from "./clients.js";
import type { Runner } from "./gen/agent_manager/v1/runner_pb.js";

/** The agent programs that the service can run. */
export class Runners {
  readonly #clients: Clients;
  readonly #call: Call;

  constructor(clients: Clients, call: Call) {
    this.#clients = clients;
    this.#call = call;
  }

  /** Returns all runners with what was found of them on the service's machine. */
  async list(options?: CallOptions): Promise<readonly Runner[]> {
    const answer = await this.#call((rpc) => this.#clients.runners.listRunners({}, rpc), options);
    return answer.runners;
  }

  /** Returns one runner. Throws `NotFoundError` or `FailedPreconditionError` (RUNNER_UNKNOWN). */
  async get(runner: string, options?: CallOptions): Promise<Runner> {
    const answer = await this.#call((rpc) => this.#clients.runners.getRunner({ runner }, rpc), options);
    return expectField(answer.runner, "runner");
  }
}
