import { rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { failpoint } from "../../failpoint.js";
import { type ControlEntry, encodeControl, encodeStdin } from "../spool/control.js";
import { RecordKind, type SpoolRecord } from "../spool/record.js";
import { SpoolWriter } from "../spool/spool-writer.js";
import { type AgentEnd, AgentProcess } from "./agent-process.js";
import { ControlSocket } from "./control-socket.js";
import { writeDurably } from "./durable-file.js";
import { LineSplitter } from "./line-splitter.js";
import {
  PROTOCOL_VERSION,
  type ServerMessage,
  type StopCause,
  type SupervisorSpec,
  type SupervisorState,
} from "./messages.js";
import { identifyProcess, readBootId } from "./processes.js";
import { Redactor } from "./redactor.js";

const SYNC_INTERVAL_MS = 100;
const RETRY_WRITE_MS = 250;
/** Kept so that a full disk still takes the last records. */
const RESERVE_FILE = "reserve";
const RESERVE_BYTES = 64 * 1024;

/** Runs one agent from its launch gate to its last byte. */
export class Supervisor {
  readonly #spool = new SpoolWriter("spool");
  readonly #redactor: Redactor;
  readonly #socket: ControlSocket;
  readonly #agent: AgentProcess;
  readonly #written = new Set<string>();
  #unwritten: SpoolRecord[] = [];
  #retry: NodeJS.Timeout | undefined;
  #lastOutputMs = performance.now(); // not the time of day, which may jump
  #diskFullSinceMs: number | undefined;

  constructor(readonly spec: SupervisorSpec) {
    this.#redactor = new Redactor(pick(process.env, spec.secrets));
    this.#socket = new ControlSocket({
      path: "ctl.sock",
      nonce: spec.nonce,
      hello: () => ({ type: "hello", version: PROTOCOL_VERSION, pid: process.pid, offset: this.#spool.offset }),
      receive: (message) => this.#receive(message),
    });
    this.#agent = new AgentProcess({ spec, environment: pick(process.env, spec.environment) });
  }

  /** Resolves with the exit code of the supervisor itself once the agent has ended and all is on disk. */
  async run(): Promise<number> {
    await this.#socket.listen();
    this.#reserveRoom();
    failpoint("supervisor.before-spawn");
    this.#agent.spawn();
    failpoint("supervisor.spawned");
    this.#recordLaunch();
    this.#readOutput();
    this.#agent.openGate();
    const watchdogs = this.#startWatchdogs();
    const end = await this.#agent.end();
    for (const watchdog of watchdogs) clearInterval(watchdog);
    await this.#finish(end);
    return 0;
  }

  /** Ends the agent; the first cause counts. */
  stop(cause: StopCause): void {
    if (!this.#agent.requestStop(cause)) return;
    this.#append({ type: "stopRequested", cause });
    if (this.spec.interrupt !== null) this.#write("interrupt", this.spec.interrupt);
    this.#agent.endInput(); // after an interrupt a closed input lets the agent end by itself
  }

  #reserveRoom(): void {
    try {
      writeFileSync(RESERVE_FILE, Buffer.alloc(RESERVE_BYTES, 1));
    } catch {
      // the disk is full already: the first record waits for room like any other
    }
  }

  /** Until this is on disk the gate keeps the agent from starting. */
  #recordLaunch(): void {
    const supervisor = identifyProcess(process.pid);
    const agent = identifyProcess(this.#agent.pid);
    if (!supervisor || !agent) return; // the spawn failed; end() tells how
    const state: SupervisorState = {
      version: PROTOCOL_VERSION,
      nonce: this.spec.nonce,
      bootId: readBootId(),
      supervisor,
      agent,
    };
    writeDurably("state.json", JSON.stringify(state));
    failpoint("supervisor.state-written");
    this.#append({ type: "started", pid: agent.pid, host: hostname() });
  }

  #readOutput(): void {
    for (const [name, stream] of this.#agent.outputs()) {
      const splitter = new LineSplitter(this.#redactor);
      const kind = RecordKind[name];
      stream.on("data", (chunk: Buffer) => {
        this.#lastOutputMs = performance.now();
        this.#appendRecords(splitter.push(chunk).map(({ payload, flags }) => this.#record(kind, payload, flags)));
      });
      stream.on("end", () => {
        this.#appendRecords(splitter.finish().map(({ payload, flags }) => this.#record(kind, payload, flags)));
      });
    }
  }

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case "write":
        this.#write(message.id, message.text);
        break;
      case "end":
        this.#endInput(message.id);
        break;
      case "stop":
        this.stop(message.cause);
        break;
      case "hello":
        break; // the socket has dealt with it
      default:
        message satisfies never; // a newer server: what we do not know we do not do
    }
  }

  #endInput(id: string): void {
    if (this.#written.has(id)) return;
    this.#written.add(id);
    this.#agent.endInput();
  }

  /** The record comes before the bytes, so that the spool never shows an answer before its question. */
  #write(id: string, text: string): void {
    if (this.#written.has(id)) return;
    this.#written.add(id);
    const payload = this.#redactor.redact(encodeStdin(id, text));
    this.#appendRecords([this.#record(RecordKind.stdin, payload, 0)]);
    this.#agent.write(`${text}\n`);
  }

  #startWatchdogs(): readonly NodeJS.Timeout[] {
    const timers = [
      setInterval(() => void this.#spool.sync(), SYNC_INTERVAL_MS),
      setTimeout(() => this.stop("timeout"), Math.max(1, this.spec.timeoutMs)),
    ];
    if (this.spec.inactivityTimeoutMs > 0) {
      const silentMs = () => performance.now() - this.#lastOutputMs;
      const check = () => silentMs() >= this.spec.inactivityTimeoutMs && this.stop("inactivity");
      timers.push(setInterval(check, Math.min(1000, this.spec.inactivityTimeoutMs)));
    }
    return timers;
  }

  async #finish(end: AgentEnd): Promise<void> {
    const entry: ControlEntry = { type: "exited", ...end };
    failpoint("supervisor.agent-ended");
    this.#append(entry);
    while (!this.#settled()) await new Promise((resolve) => setTimeout(resolve, RETRY_WRITE_MS));
    await this.#spool.sync();
    failpoint("supervisor.end-recorded");
    await this.#socket.close();
    this.#spool.close();
  }

  #append(entry: ControlEntry): void {
    this.#appendRecords([this.#record(RecordKind.control, encodeControl(entry), 0)]);
  }

  #record(kind: RecordKind, payload: Buffer, flags: number): SpoolRecord {
    return {
      kind,
      flags,
      payload,
      monotonicNs: process.hrtime.bigint(),
      wallMs: Date.now(),
    };
  }

  /** While the disk takes nothing the agent is not read, so that it blocks on its pipe and nothing is lost. */
  #appendRecords(records: readonly SpoolRecord[]): void {
    if (records.length === 0) return;
    this.#unwritten.push(...records);
    if (!this.#retry) this.#flush();
  }

  #flush(): void {
    this.#retry = undefined;
    try {
      this.#spool.append(this.#unwritten);
    } catch {
      this.#waitForDisk();
      return;
    }
    this.#unwritten = [];
    this.#diskFullSinceMs = undefined;
    if (this.#spool.offset > this.spec.maxOutputBytes) this.#endFlood();
    else this.#agent.resume();
    this.#socket.broadcast({ type: "spooled", offset: this.#spool.offset });
  }

  #waitForDisk(): void {
    const nowMs = performance.now();
    this.#diskFullSinceMs ??= nowMs;
    this.#agent.pause();
    this.#retry = setTimeout(() => this.#flush(), RETRY_WRITE_MS);
    if (nowMs - this.#diskFullSinceMs >= this.spec.diskFullLimitMs) this.stop("diskFull");
  }

  /** True once everything is in the spool, or the disk has been full for so long that the rest is given up. */
  #settled(): boolean {
    if (this.#unwritten.length === 0) return true;
    const fullForMs = performance.now() - (this.#diskFullSinceMs ?? performance.now());
    if (fullForMs < this.spec.diskFullLimitMs + RETRY_WRITE_MS) return false;
    clearTimeout(this.#retry);
    return this.#giveUpRest();
  }

  /** Uses the reserve to say how the run ended and how much output could not be kept. */
  #giveUpRest(): boolean {
    rmSync(RESERVE_FILE, { force: true });
    const isControl = ({ kind }: SpoolRecord) => kind === RecordKind.control;
    const lost = this.#unwritten.filter((record) => !isControl(record));
    const lostBytes = lost.reduce((sum, { payload }) => sum + payload.length, 0);
    const note = this.#record(RecordKind.control, encodeControl({ type: "outputLost", bytes: lostBytes }), 0);
    try {
      this.#spool.append([note, ...this.#unwritten.filter(isControl)]);
    } catch {
      return false; // not even that fits: wait on
    }
    this.#unwritten = [];
    return true;
  }

  /** Not reading on is what ends a flood: the agent blocks on its pipe until the stop has ended it. */
  #endFlood(): void {
    this.#agent.pause();
    this.stop("outputQuota");
  }
}

function pick(environment: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])),
  );
}
