import { EventEmitter, on, once } from "node:events";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "@agent-manager/sdk/proto";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { ownServices } from "./served-services.js";

/** Whether the server serves. It starts as NOT_SERVING; every service shares one status. */
export class HealthState {
  #status: ServingStatus = ServingStatus.NOT_SERVING;
  readonly #changes = new EventEmitter<{ change: [] }>().setMaxListeners(0);

  get status(): ServingStatus {
    return this.#status;
  }

  set(status: ServingStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    this.#changes.emit("change");
  }

  /** Yields the status at once and after each change, until the signal fires. */
  async *watch(signal: AbortSignal): AsyncGenerator<ServingStatus> {
    // Listening comes before the first yield: a change while the reader is busy is not missed.
    const changes = on(this.#changes, "change", { signal });
    yield this.#status;
    for await (const _ of changes) yield this.#status;
  }
}

/** Serves grpc.health.v1: the whole server as "" and each of its services by name. */
export function registerHealth(router: ConnectRouter, state: HealthState): void {
  router.service(Health, {
    check({ service }) {
      if (!known.has(service)) throw new ConnectError(`service ${service} is not one of this server`, Code.NotFound);
      return { status: state.status };
    },
    list: () => ({ statuses: Object.fromEntries([...known].map((service) => [service, { status: state.status }])) }),
    async *watch({ service }, { signal }) {
      if (known.has(service)) {
        for await (const status of state.watch(signal)) yield { status };
      } else {
        // The protocol asks for this instead of an error: the service may come later.
        yield { status: ServingStatus.SERVICE_UNKNOWN };
        await once(signal, "abort");
      }
    },
  });
}

const known: ReadonlySet<string> = new Set(["", ...ownServices.map(({ typeName }) => typeName)]);
