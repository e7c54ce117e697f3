import { EventSource } from "@agent-manager/sdk/proto";
import type { NewEvent } from "../log/event-encoding.js";
import type {
  AgentOutcome,
  AgentWrite,
  DeltaDraft,
  EventDraft,
  ProtocolOutput,
  RunnerProtocol,
} from "../runners/runner.js";
import { LineAssembler } from "./line-assembler.js";
import { type ControlEntry, decodeControl, decodeStdin } from "./spool/control.js";
import { RecordKind, type SpoolRecord } from "./spool/record.js";
import type { SupervisorSpec } from "./supervisor/messages.js";

/** What one record of a spool means. */
export interface Translation {
  readonly events: readonly NewEvent[];
  readonly deltas: readonly DeltaDraft[];
  readonly writes: readonly AgentWrite[];
  readonly started?: { readonly atMs: number };
  readonly ended?: AgentEnding;
}

/** How the agent ended: what its protocol says, and what the supervisor saw. */
export interface AgentEnding {
  readonly outcome: AgentOutcome;
  readonly exit: Extract<ControlEntry, { type: "exited" }>;
}

/**
 * Turns a run's spool into events: lines go through the runner's protocol, what the supervisor recorded
 * becomes events of the manager. It is a fold without clock or chance, so that reading the spool again from
 * its start gives the same events and the same state.
 */
export class SpoolTranslator {
  readonly #assemblers = { stdout: new LineAssembler(), stderr: new LineAssembler() };

  constructor(
    readonly protocol: RunnerProtocol,
    readonly spec: SupervisorSpec,
  ) {}

  /** What to write to the agent first. */
  start(): readonly AgentWrite[] {
    return this.protocol.start().writes;
  }

  translate(record: SpoolRecord): Translation {
    switch (record.kind) {
      case RecordKind.stdout:
        return this.#translateLine(record, "stdout");
      case RecordKind.stderr:
        return this.#translateLine(record, "stderr");
      case RecordKind.stdin:
        return this.#stamp(this.protocol.written(decodeStdin(record.payload).id, record), record);
      case RecordKind.control:
        return this.#translateControl(decodeControl(record.payload), record);
      default:
        return record.kind satisfies never;
    }
  }

  #translateLine(record: SpoolRecord, stream: "stdout" | "stderr"): Translation {
    const outputs = this.#assemblers[stream].push(record.payload, record.flags).map((assembled) =>
      assembled.kind === "line"
        ? this.#stamp(this.protocol[stream](assembled.line, record), record)
        : this.#event(record, {
            case: "log",
            value: { data: assembled.data, stderr: stream === "stderr", partial: assembled.partial },
          }),
    );
    return joinTranslations(outputs);
  }

  #translateControl(entry: ControlEntry, record: SpoolRecord): Translation {
    switch (entry.type) {
      case "started": {
        const { command, environment } = this.spec;
        const value = {
          pid: BigInt(entry.pid),
          host: entry.host,
          command: [...command],
          environment: [...environment],
        };
        return { ...this.#event(record, { case: "processStarted", value }), started: { atMs: record.wallMs } };
      }
      case "stopRequested":
        return this.#event(record, { case: "progress", value: { status: "stopping", text: entry.cause } });
      case "outputLost": {
        const text = `the disk stayed full for too long: ${entry.bytes} bytes of the agent's output could not be kept`;
        return this.#event(record, { case: "warning", value: { code: "output_lost", text } });
      }
      case "exited":
        return this.#translateExit(entry, record);
      default:
        return entry satisfies never;
    }
  }

  #translateExit(entry: Extract<ControlEntry, { type: "exited" }>, record: SpoolRecord): Translation {
    const final = this.protocol.exited(entry, record);
    const value = {
      signal: entry.signal ?? "",
      cause: entry.cause ?? "",
      orphansKilled: entry.orphansKilled,
      ...(entry.code !== null && { exitCode: entry.code }),
    };
    return {
      ...joinTranslations([this.#stamp(final, record), this.#event(record, { case: "processEnded", value })]),
      ended: { outcome: final.outcome, exit: entry },
    };
  }

  #stamp(output: ProtocolOutput, { wallMs }: SpoolRecord): Translation {
    return { ...output, events: output.events.map((draft) => newEvent(draft, wallMs)) };
  }

  #event({ wallMs }: SpoolRecord, event: NewEvent["event"]): Translation {
    return { events: [{ occurTimeMs: wallMs, source: EventSource.MANAGER, event }], deltas: [], writes: [] };
  }
}

function newEvent({ source, ...draft }: EventDraft, wallMs: number): NewEvent {
  return { ...draft, source: source ?? EventSource.RUNNER, occurTimeMs: wallMs };
}

function joinTranslations(translations: readonly Translation[]): Translation {
  return {
    events: translations.flatMap(({ events }) => events),
    deltas: translations.flatMap(({ deltas }) => deltas),
    writes: translations.flatMap(({ writes }) => writes),
  };
}
