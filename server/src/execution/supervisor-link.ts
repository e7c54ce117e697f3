import { setTimeout as sleep } from "node:timers/promises";
import type { AgentWrite } from "../runners/runner.js";
import { type RunFolder, readState } from "./run-folder.js";
import { NONCE_VARIABLE } from "./supervisor/agent-process.js";
import type { ServerMessage, StopCause, SupervisorSpec, SupervisorState } from "./supervisor/messages.js";
import { findProcessesByVariable, isAlive, readBootId } from "./supervisor/processes.js";
import { connectSupervisor, type SupervisorConnection } from "./supervisor-connection.js";

const RECONNECT_MS = 250;
/** How long a supervisor may take from its start to its first state on disk. */
const LAUNCH_BUDGET_MS = 15_000;

export interface SupervisorLinkOptions {
  readonly folder: RunFolder;
  readonly spec: SupervisorSpec;
  readonly epoch: bigint;
  readonly signal: AbortSignal;
  /** The spool has grown, or the supervisor is gone. */
  readonly onChange: () => void;
}

/**
 * Keeps in touch with a run's supervisor for as long as it lives: connects, connects again, says when it is
 * gone. Writes and a stop wait for the connection; all may be repeated, the supervisor does each once.
 */
export class SupervisorLink {
  #connection: SupervisorConnection | undefined;
  #gone = false;
  /** Everything sent so far, for a supervisor that we lost touch with in between. */
  readonly #messages: ServerMessage[] = [];

  constructor(readonly options: SupervisorLinkOptions) {}

  /** True once the supervisor can add nothing to the spool any more. */
  get gone(): boolean {
    return this.#gone;
  }

  write(write: AgentWrite): void {
    this.#send(
      write.kind === "line" ? { type: "write", id: write.id, text: write.text } : { type: "end", id: write.id },
    );
  }

  stop(cause: StopCause): void {
    this.#send({ type: "stop", cause });
  }

  /** Resolves when the supervisor is gone, or on abort. */
  async keep(): Promise<void> {
    const state = await this.#awaitState();
    while (!this.options.signal.aborted && state && isRunning(state)) await this.#connectOnce();
    this.#gone = !this.options.signal.aborted;
    this.options.onChange();
  }

  /** The state appears before the agent starts; without it and without a process nothing ever will. */
  async #awaitState(): Promise<SupervisorState | undefined> {
    const deadline = performance.now() + LAUNCH_BUDGET_MS;
    for (;;) {
      const state = await readState(this.options.folder);
      if (state || this.options.signal.aborted || performance.now() > deadline) return state;
      if (findProcessesByVariable(NONCE_VARIABLE, this.options.spec.nonce).length === 0)
        return readState(this.options.folder);
      await sleep(10);
    }
  }

  /** Resolves when the connection has ended, after a pause. */
  async #connectOnce(): Promise<void> {
    const { folder, spec, epoch, signal, onChange } = this.options;
    let closed = () => {};
    const ended = new Promise<void>((resolve) => {
      closed = resolve;
    });
    signal.addEventListener("abort", closed, { once: true });
    try {
      const request = { socketPath: folder.socket, nonce: spec.nonce, epoch, onSpooled: onChange, onClose: closed };
      this.#connection = await connectSupervisor(request);
      for (const message of this.#messages) this.#connection.send(message);
      await ended;
    } catch {
      // it has just ended, or refuses us: the loop looks whether it lives
    } finally {
      signal.removeEventListener("abort", closed);
      this.#connection?.close(); // on abort it is still open, and would keep this process from ending
      this.#connection = undefined;
    }
    onChange();
    if (!signal.aborted) await sleep(RECONNECT_MS);
  }

  #send(message: ServerMessage): void {
    this.#messages.push(message);
    this.#connection?.send(message);
  }
}

/** True while the supervisor that wrote this state lives. */
function isRunning(state: SupervisorState): boolean {
  return state.bootId === readBootId() && isAlive(state.supervisor);
}
