import { EventDeltaSchema } from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { failpoint } from "../failpoint.js";
import { encodeEvent, type NewEvent } from "../log/event-encoding.js";
import type { LogHub } from "../log/log-hub.js";
import type { LogWriter } from "../log/log-writer.js";
import type { AgentWrite, DeltaDraft } from "../runners/runner.js";
import { readRunLog } from "../store/run-events.js";
import type { Db } from "../store/schema.js";
import { retryWhileUnavailable } from "./retry.js";
import { FencedError } from "./run-changes.js";
import type { SpoolReader } from "./spool/spool-reader.js";
import type { AgentEnding, SpoolTranslator } from "./spool-translator.js";

/** How long the ingest trusts the supervisor's word that nothing is new. */
const POLL_MS = 500;

export interface SpoolIngestOptions {
  readonly runId: string;
  readonly epoch: bigint;
  /** Up to here the spool's events are in the log. */
  readonly committedOffset: number;
  readonly reader: SpoolReader;
  readonly translator: SpoolTranslator;
  readonly db: Db;
  readonly writer: LogWriter;
  readonly hub: LogHub;
  readonly signal: AbortSignal;
  /** Hands a line to the supervisor, which drops those it has written before. */
  readonly write: (write: AgentWrite) => void;
  /** True once no one can add to the spool any more. */
  readonly sourceGone: () => boolean;
  readonly onStarted: (atMs: number) => Promise<void>;
  /** Called with events that an earlier life of the server has committed; what it did after that is not known. */
  readonly onReplayed: (events: readonly NewEvent[]) => void;
  /** Called after the commit of the events, and with none after the last replayed one. */
  readonly onCommitted: (events: readonly NewEvent[]) => Promise<void>;
}

/**
 * Reads a run's spool, turns it into events and appends them, each record exactly once: what lies below the
 * committed offset is only read to rebuild the protocol's state.
 */
export class SpoolIngest {
  #readOffset = 0;
  #committedOffset: number;
  #ending: AgentEnding | undefined;
  #notified = false;
  #wake: (() => void) | undefined;

  constructor(readonly options: SpoolIngestOptions) {
    this.#committedOffset = options.committedOffset;
  }

  /** Look now: the spool has grown, or the source has gone. */
  notify(): void {
    this.#notified = true;
    this.#wake?.();
  }

  /**
   * Runs until the agent's end is in the log; undefined if the source went away without saying how the agent
   * ended, or on abort.
   */
  async run(): Promise<AgentEnding | undefined> {
    for (const write of this.options.translator.start()) this.options.write(write);
    while (!this.options.signal.aborted) {
      this.#notified = false;
      const gone = this.options.sourceGone(); // asked before reading: what it wrote last is then seen
      const progressed = await this.#ingestBatch();
      if (this.#ending) return this.#ending;
      if (!progressed && gone) return undefined;
      if (!progressed) await this.#wait();
    }
    return undefined;
  }

  async #ingestBatch(): Promise<boolean> {
    const { reader, translator } = this.options;
    const batch = await reader.read(this.#readOffset);
    const replay = this.#readOffset < this.#committedOffset;
    const events: NewEvent[] = [];
    const writes: AgentWrite[] = [];
    let startedAtMs: number | undefined;
    for (const { record, endOffset } of batch.records) {
      const replayed = endOffset <= this.#committedOffset;
      const translation = translator.translate(record);
      if (replayed) this.options.onReplayed(translation.events);
      else {
        events.push(...translation.events);
        this.#publishDeltas(translation.deltas, record.wallMs);
      }
      writes.push(...translation.writes);
      startedAtMs ??= translation.started?.atMs;
      this.#ending ??= translation.ended;
    }
    this.#readOffset = batch.endOffset;
    if (replay && this.#readOffset >= this.#committedOffset) await this.options.onCommitted([]);
    if (events.length > 0) await this.#commit(events, batch.endOffset);
    failpoint("ingest.before-writes");
    for (const write of writes) this.options.write(write);
    if (startedAtMs !== undefined) await this.options.onStarted(startedAtMs);
    return batch.records.length > 0;
  }

  async #commit(events: readonly NewEvent[], toOffset: number): Promise<void> {
    const { runId, epoch, writer } = this.options;
    const fromOffset = this.#committedOffset;
    const result = await writer.append({ runId, epoch, fromOffset, toOffset, events: events.map(encodeEvent) });
    failpoint("ingest.committed");
    if (result.kind === "refused") await this.#explainRefusal(toOffset);
    this.#committedOffset = toOffset;
    await this.options.onCommitted(events);
  }

  /** A commit whose answer was lost is refused when it is tried again: then the offset has moved to its end. */
  async #explainRefusal(toOffset: number): Promise<void> {
    const { runId, epoch, db, hub, signal } = this.options;
    const log = await retryWhileUnavailable(() => readRunLog(db, runId), signal);
    if (log?.epoch !== epoch) throw new FencedError(runId);
    if (Number(log.spool_offset) !== toOffset)
      throw new Error(`run ${runId}: the log is at another offset of the spool`);
    hub.wake(runId);
  }

  #publishDeltas(deltas: readonly DeltaDraft[], wallMs: number): void {
    const { hub, runId } = this.options;
    for (const delta of deltas) {
      hub.publishDelta(create(EventDeltaSchema, { ...delta, runId, occurTime: timestampFromMs(wallMs) }));
    }
  }

  async #wait(): Promise<void> {
    if (this.#notified) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        this.options.signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, POLL_MS);
      this.options.signal.addEventListener("abort", done, { once: true });
      this.#wake = done;
    });
  }
}
