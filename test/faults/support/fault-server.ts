import { type ChildProcess, spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type AgentManager, createAgentManager } from "@agent-manager/sdk";
import { until } from "./processes.js";

export interface FaultServerOptions {
  readonly dataDir: string;
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** One server in a process of its own that dies and comes back at the same address. */
export class FaultServer {
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #am: AgentManager | undefined;
  #output = "";
  #retired = false;

  private constructor(
    readonly options: FaultServerOptions,
    readonly port: number,
  ) {}

  static async create(options: FaultServerOptions): Promise<FaultServer> {
    return new FaultServer(options, await freePort());
  }

  get dataDir(): string {
    return this.options.dataDir;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves when the process that was started last has ended. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Everything that its processes have written. */
  get output(): string {
    return this.#output;
  }

  /** A client for as long as the test lasts, whatever the server does. */
  get am(): AgentManager {
    if (!this.#am) throw new Error("the server was never ready");
    return this.#am;
  }

  /** Starts a process and resolves when it serves. False if it ended before. */
  async start(environment: Readonly<Record<string, string>> = {}): Promise<boolean> {
    if (this.#retired) return false; // the test has failed, and its saboteur does not know yet
    const address = join(this.dataDir, "server.json");
    await rm(address, { force: true });
    this.#spawn(environment);
    const told = () => readFile(address, "utf8").catch(() => "");
    const ready = async () => !this.running || (await told()).includes(`"pid":${this.pid},`);
    await until(`the server starts; it said:\n${this.#output.slice(-2_000)}`, ready, { limitMs: 120_000 });
    if (!this.running) return false;
    this.#am ??= await this.connect(`http://127.0.0.1:${this.port}`);
    return true;
  }

  /** Another client of this server, at an address that leads to it. */
  async connect(url: string): Promise<AgentManager> {
    const token = (await readFile(join(this.dataDir, "token"), "utf8")).trim();
    return createAgentManager({ url, token, maxRetries: 100 });
  }

  async end(signal: "SIGTERM" | "SIGKILL" = "SIGKILL"): Promise<void> {
    if (this.running) this.#child?.kill(signal);
    await this.#exited;
  }

  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  /** Whatever state it is in, it is gone after this and does not come back. */
  async retire(): Promise<void> {
    this.#retired = true;
    this.#am?.close();
    this.resume();
    await this.end();
  }

  /** Ends it as its operator would. */
  async close(): Promise<void> {
    this.#am?.close();
    this.resume();
    await this.end("SIGTERM");
  }

  #spawn(environment: Readonly<Record<string, string>>): void {
    const { program, dataDir } = this.options;
    const args = [program, "serve", "--data-dir", dataDir, "--listen", `127.0.0.1:${this.port}`];
    const env = { ...this.options.environment, ...environment };
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-200_000);
      });
    }
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once("exit", () => resolve()));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
