import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A benchmark's process of its own, which answers each request with one message. */
export class Child {
  readonly #process: ChildProcess;

  constructor(name: "event-server" | "raw-server" | "reader", args: readonly string[] = []) {
    const path = fileURLToPath(new URL(`./${name}.mjs`, import.meta.url));
    this.#process = fork(path, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  /** Sends a request and waits for the answer to it. Requests must not overlap. */
  async ask<Answer>(request: object = {}): Promise<Answer> {
    this.#process.send(request);
    const ended = new AbortController();
    const exit = once(this.#process, "exit", { signal: ended.signal }).then(([code]) => {
      throw new Error(`${this.#process.spawnargs[1]} ended with ${code}`);
    });
    exit.catch(() => {});
    try {
      const [answer] = await Promise.race([once(this.#process, "message", { signal: ended.signal }), exit]);
      if ("problem" in answer) throw new Error(answer.problem);
      return answer;
    } finally {
      ended.abort();
    }
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill("SIGKILL");
    await once(this.#process, "exit");
  }
}

/** In the child: answers the parent's requests one after the other. */
export function serveParent<Request>(answer: (request: Request) => Promise<object>): void {
  process.on("message", (request: Request) => {
    answer(request).then(
      (value) => process.send?.(value),
      (error: unknown) => process.send?.({ problem: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.on("disconnect", () => process.exit(0));
}
