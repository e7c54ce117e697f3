import { writeFile } from "node:fs/promises";
import { serveParent } from "../child.js";
import { EventCounter } from "../event-counter.js";
import { LightConnection } from "../light-connection.js";

export type ReaderRequest =
  | {
      readonly kind: "open";
      readonly url: string;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
      /** The request message in base64. */
      readonly body: string;
      readonly streams: number;
      readonly connections: number;
      /** Where to write the messages that the first stream gets. */
      readonly recordTo?: string;
    }
  /** Answers once every stream has this many events or has ended. */
  | { readonly kind: "await"; readonly events: number }
  /** The same, and closes the streams. */
  | { readonly kind: "finish"; readonly events: number };

export interface ReaderAnswer {
  readonly events: number;
  readonly bytes: number;
  readonly messages: number;
  /** Since the streams were opened. */
  readonly cpuSeconds: number;
}

const PATIENCE_MS = 60_000;

/** Reads streams at the lowest cost that there is, so that the server is the limit. */
class Reader {
  #connections: LightConnection[] = [];
  #counters: EventCounter[] = [];
  #ended: boolean[] = [];
  #recorded: Buffer[] | undefined;
  #recordTo: string | undefined;
  #check: () => void = () => {};

  /** Resolves when each stream has had its first message. */
  async open(request: Extract<ReaderRequest, { kind: "open" }>): Promise<void> {
    const { url, streams, connections } = request;
    this.#recordTo = request.recordTo;
    this.#recorded = request.recordTo === undefined ? undefined : [];
    this.#connections = await Promise.all(Array.from({ length: connections }, () => LightConnection.open(url)));
    this.#counters = Array.from({ length: streams }, () => new EventCounter());
    this.#ended = this.#counters.map(() => false);
    for (let index = 0; index < streams; index += 1) this.#start(request, index);
    await this.#until((counter) => counter.messages > 0);
  }

  await(events: number): Promise<void> {
    return this.#until((counter) => counter.events >= events);
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.close();
    if (this.#recordTo !== undefined && this.#recorded) await writeFile(this.#recordTo, Buffer.concat(this.#recorded));
  }

  total(key: "events" | "bytes" | "messages"): number {
    return this.#counters.reduce((sum, counter) => sum + counter[key], 0);
  }

  #start({ path, headers, body }: Extract<ReaderRequest, { kind: "open" }>, index: number): void {
    const counter = this.#counters[index];
    const record = index === 0 && this.#recorded ? (message: Buffer) => this.#recorded?.push(message) : undefined;
    this.#connections[index % this.#connections.length]?.request({
      path,
      headers,
      body: Buffer.from(body, "base64"),
      onData: (bytes) => {
        counter?.push(bytes, record);
        this.#check();
      },
      onEnd: () => {
        this.#ended[index] = true;
        this.#check();
      },
    });
  }

  #until(reached: (counter: EventCounter) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const patience = setTimeout(() => reject(new Error("the streams stand still")), PATIENCE_MS);
      // streams are looked at in order, each once, however many chunks come meanwhile
      let at = 0;
      this.#check = () => {
        for (; at < this.#counters.length; at += 1) {
          const counter = this.#counters[at];
          if (counter && !reached(counter) && !this.#ended[at]) return;
        }
        this.#check = () => {};
        clearTimeout(patience);
        resolve();
      };
      this.#check();
    });
  }
}

let reader = new Reader();
let cpu = process.cpuUsage();

serveParent(async (request: ReaderRequest) => {
  if (request.kind === "open") {
    reader = new Reader();
    await reader.open(request);
    cpu = process.cpuUsage();
  } else {
    await reader.await(request.events);
    if (request.kind === "finish") await reader.close();
  }
  const used = process.cpuUsage(cpu);
  const answer: ReaderAnswer = {
    events: reader.total("events"),
    bytes: reader.total("bytes"),
    messages: reader.total("messages"),
    cpuSeconds: (used.user + used.system) / 1e6,
  };
  return answer;
});
