import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { StopCause, SupervisorSpec } from "./messages.js";
import { findProcessesByVariable, signalPid, signalProcess } from "./processes.js";

/** Reads a line from descriptor 3 and only then becomes the agent; end of file means that it never does. */
const GATE = 'read -r _ <&3 || exit 125; exec "$@" 3<&-';
/** After the agent has exited its pipes may be held open by what it left behind. */
const DRAIN_MS = 1_000;
const KILL_AFTER_TERM_MS = 1_000;
export const NONCE_VARIABLE = "AGENT_MANAGER_NONCE";

export interface AgentEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly cause: StopCause | null;
  readonly orphansKilled: number;
  readonly spawnError: string | null;
}

export interface AgentProcessOptions {
  readonly spec: SupervisorSpec;
  readonly environment: Readonly<Record<string, string>>;
}

/** The agent's process with everything it starts: gate, pipes, the ladder of signals, orphans. */
export class AgentProcess {
  #child: ChildProcess | undefined;
  #cause: StopCause | null = null;
  #ladder: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(readonly options: AgentProcessOptions) {}

  /** 0 if it could not be spawned. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  spawn(): void {
    const { spec, environment } = this.options;
    this.#child = spawn("/bin/sh", ["-c", GATE, "agent-manager-gate", ...spec.command], {
      cwd: spec.workingDirectory,
      env: { ...environment, [NONCE_VARIABLE]: spec.nonce },
      detached: true, // its own session and process group
      stdio: ["pipe", "pipe", "pipe", "pipe"],
    });
    // an agent that closes its input must not end us
    this.#child.stdin?.on("error", () => {});
    this.#gate?.on("error", () => {});
  }

  openGate(): void {
    this.#gate?.end("go\n");
  }

  outputs(): readonly (readonly ["stdout" | "stderr", Readable])[] {
    const { stdout, stderr } = this.#child ?? {};
    return stdout && stderr
      ? [
          ["stdout", stdout],
          ["stderr", stderr],
        ]
      : [];
  }

  write(text: string): void {
    this.#child?.stdin?.write(text);
  }

  endInput(): void {
    this.#child?.stdin?.end();
  }

  /** Does nothing once the agent has ended: what is left in its pipes is read whatever happens. */
  pause(): void {
    if (this.#ended) return;
    for (const [, stream] of this.outputs()) stream.pause();
  }

  resume(): void {
    for (const [, stream] of this.outputs()) stream.resume();
  }

  /** Starts the ladder: grace for a clean end, SIGTERM, SIGKILL. False if it was started before. */
  requestStop(cause: StopCause): boolean {
    if (this.#cause !== null) return false;
    this.#cause = cause;
    const { graceMs } = this.options.spec;
    this.#ladder = setTimeout(() => {
      this.#signalTree("SIGTERM");
      this.#ladder = setTimeout(() => this.#signalTree("SIGKILL"), KILL_AFTER_TERM_MS);
    }, graceMs);
    return true;
  }

  /** Resolves when the agent has exited, its output was read and nothing it started is left. */
  async end(): Promise<AgentEnd> {
    const child = this.#child;
    if (!child) throw new Error("end() before spawn()");
    const exit = await exited(child);
    clearTimeout(this.#ladder);
    this.#ended = true;
    this.resume();
    await settlesWithin(this.#closed(), DRAIN_MS);
    const orphansKilled = await this.#killOrphans();
    await settlesWithin(this.#closed(), DRAIN_MS);
    for (const [, stream] of this.outputs()) stream.destroy();
    return { ...exit, cause: this.#cause, orphansKilled };
  }

  get #gate(): Writable | undefined {
    const gate = this.#child?.stdio[3];
    return gate && "end" in gate ? gate : undefined;
  }

  #closed(): Promise<unknown> {
    return Promise.all(
      this.outputs().map(
        ([, stream]) =>
          new Promise<void>((resolve) => {
            if (stream.closed || stream.readableEnded) resolve();
            else stream.once("close", resolve).once("end", resolve);
          }),
      ),
    );
  }

  #signalTree(signal: NodeJS.Signals): void {
    signalPid(-this.pid, signal);
    for (const orphan of this.#descendants()) signalProcess(orphan, signal);
  }

  /** Processes that fork while we look are found by looking again. */
  async #killOrphans(): Promise<number> {
    const killed = new Set<number>();
    for (let round = 0; round < 20; round += 1) {
      const orphans = this.#descendants();
      if (orphans.length === 0) break;
      for (const orphan of orphans) if (signalProcess(orphan, "SIGKILL")) killed.add(orphan.pid);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return killed.size;
  }

  #descendants() {
    return findProcessesByVariable(NONCE_VARIABLE, this.options.spec.nonce);
  }
}

type Exit = Pick<AgentEnd, "code" | "signal" | "spawnError">;

function exited(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, spawnError: error.message }));
    child.once("exit", (code, signal) => resolve({ code, signal, spawnError: null }));
  });
}

/** Waits for the promise, but no longer than this. */
async function settlesWithin(promise: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([promise, new Promise((resolve) => (timer = setTimeout(resolve, limitMs)))]);
  clearTimeout(timer);
}
