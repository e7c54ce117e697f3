import { EventSource, TurnStatus } from "@agent-manager/sdk/proto";
import type {
  AgentExit,
  AgentOutcome,
  AgentWrite,
  EventDraft,
  FinalOutput,
  ProtocolOutput,
  ProtocolRequest,
  RunnerProtocol,
  SpoolTime,
} from "../runner.js";
import { nothing } from "../runner.js";
import { BlockIds } from "./block-ids.js";
import { type Item, native, stamp, warning } from "./draft.js";
import { type Ending, endingItems, outcomeOf, readEnding } from "./ending.js";
import { type Frame, jsonText, object, readLine, text } from "./frame.js";
import { Messages } from "./messages.js";
import { answerPermission, cancelRequest, refuseRequest } from "./permissions.js";
import { silentOutcome } from "./silent-end.js";
import { otherItems, resetMs, sessionItem, systemItems } from "./system.js";
import { UsageLedger } from "./usage.js";

const initId = "init";
const promptId = "prompt-1";

/** Frames that only come once the prompt was read, should they be seen before the word that it was written. */
const conversation: ReadonlySet<string> = new Set(["assistant", "user", "stream_event", "result"]);

/** How many kinds of unknown frames are warned about; a program gone wild must not fill the log with warnings. */
const maxWarnings = 50;
const keptErrorLength = 2_000;

/** The stream-json dialogue with one claude process: one turn, then standard input is closed. */
export class ClaudeCodeProtocol implements RunnerProtocol {
  readonly #request: ProtocolRequest;
  readonly #ids = new BlockIds();
  readonly #messages = new Messages(this.#ids);
  readonly #usage = new UsageLedger();
  readonly #warned = new Set<string>();
  #turn = 0;
  #turnOpen = false;
  #session = "";
  #apiError = "";
  #resetMs: number | null = null;
  #ending: Ending | undefined;
  #answers = 0;
  #closed = false;
  #lastErrors = "";

  constructor(request: ProtocolRequest) {
    this.#request = request;
  }

  start(): ProtocolOutput {
    const initialize = { type: "control_request", request_id: initId, request: { subtype: "initialize", hooks: null } };
    const content = [{ type: "text", text: this.#request.prompt }];
    const prompt = { type: "user", message: { role: "user", content }, parent_tool_use_id: null };
    return {
      ...nothing,
      writes: [
        { kind: "line", id: initId, text: jsonText(initialize) },
        { kind: "line", id: promptId, text: jsonText(prompt) },
      ],
    };
  }

  stdout(line: Uint8Array, time: SpoolTime): ProtocolOutput {
    const read = readLine(line);
    switch (read.kind) {
      case "log":
        return this.#log(line, false);
      case "frame":
        return this.#frame(read.frame, time);
      default:
        return read satisfies never;
    }
  }

  stderr(line: Uint8Array): ProtocolOutput {
    const said = new TextDecoder().decode(line.subarray(0, keptErrorLength)).trim();
    if (said !== "") this.#lastErrors = `${this.#lastErrors}\n${said}`.trim().slice(-keptErrorLength);
    return this.#log(line, true);
  }

  written(id: string): ProtocolOutput {
    return id === promptId && this.#turn === 0 ? { ...nothing, events: [this.#begin(this.#request.prompt)] } : nothing;
  }

  exited(exit: AgentExit): FinalOutput {
    const outcome = this.#outcome(exit);
    if (!this.#turnOpen) return { ...nothing, outcome };
    this.#turnOpen = false;
    const status = outcome.kind === "interrupted" ? TurnStatus.INTERRUPTED : TurnStatus.FAILED;
    const value = { status, result: "text" in outcome ? outcome.text : "", stopReason: "no_result" };
    return { ...nothing, events: [{ turn: this.#turn, event: { case: "turnEnded", value } }], outcome };
  }

  interrupt(): string | undefined {
    return jsonText({ type: "control_request", request_id: "interrupt", request: { subtype: "interrupt" } });
  }

  #frame(frame: Frame, time: SpoolTime): ProtocolOutput {
    const begun = this.#beginBy(frame);
    const output = this.#dispatch(frame, time);
    return begun.length === 0 ? output : { ...output, events: [...begun, ...output.events] };
  }

  #dispatch(frame: Frame, time: SpoolTime): ProtocolOutput {
    switch (text(frame.json, "type")) {
      case "system":
        return this.#system(frame);
      case "assistant":
        this.#apiError = text(frame.json, "error") || this.#apiError;
        return this.#out(frame, this.#messages.assistant(frame));
      case "user":
        return this.#out(frame, this.#messages.user(frame));
      case "stream_event":
        return { ...nothing, deltas: this.#ids.stream(frame).map((delta) => ({ turn: this.#turn, ...delta })) };
      case "result":
        return this.#result(frame, time);
      case "control_request":
        return this.#asked(frame);
      case "control_response":
        return this.#answered(frame);
      default:
        return this.#other(frame);
    }
  }

  /** Starts a turn that a frame shows to be running. */
  #beginBy(frame: Frame): readonly EventDraft[] {
    if (this.#turnOpen) return [];
    // The word that the prompt was written may be spooled after the answer to it.
    if (this.#turn === 0 && (frame.type === "system/init" || conversation.has(text(frame.json, "type")))) {
      return [this.#begin(this.#request.prompt)];
    }
    // Every turn opens with an init frame; one after a result is a turn that the program began by itself.
    return this.#turn > 0 && frame.type === "system/init" ? [this.#begin("")] : [];
  }

  #begin(prompt: string): EventDraft {
    this.#turn += 1;
    this.#turnOpen = true;
    this.#apiError = "";
    this.#ending = undefined;
    return { turn: this.#turn, source: EventSource.MANAGER, event: { case: "turnStarted", value: { prompt } } };
  }

  #system(frame: Frame): ProtocolOutput {
    if (text(frame.json, "subtype") === "init") return this.#init(frame);
    const items = systemItems(frame);
    return items === undefined ? this.#unknown(frame) : this.#out(frame, items);
  }

  /** The session, said again only when it changed: each turn repeats it. */
  #init(frame: Frame): ProtocolOutput {
    const item = sessionItem(frame.json, this.#request.resumeSessionId !== undefined);
    const session = jsonText(item.event.value);
    if (session === this.#session) return nothing;
    this.#session = session;
    return this.#out(frame, [item]);
  }

  #result(frame: Frame, { wallMs }: SpoolTime): ProtocolOutput {
    const ending = readEnding(frame.json, { apiError: this.#apiError, resetMs: this.#resetMs, nowMs: wallMs });
    const usage = this.#usage.afterResult(frame.json);
    const items = [...usage, ...this.#budget(ending), ...endingItems(frame.json, ending)];
    this.#ending = ending;
    this.#turnOpen = false;
    return { ...this.#out(frame, items), writes: this.#close() };
  }

  #budget(ending: Ending): readonly Item[] {
    if (ending.kind !== "budget") return [];
    const limitUsd = this.#request.config.budget?.costUsd ?? 0;
    return [{ event: { case: "budget", value: { limitUsd, spentUsd: this.#usage.spentUsd, exceeded: true } } }];
  }

  /** The program ends when its input does, and only then. */
  #close(): readonly AgentWrite[] {
    if (this.#closed) return [];
    this.#closed = true;
    return [{ kind: "end", id: "end" }];
  }

  #asked(frame: Frame): ProtocolOutput {
    switch (text(object(frame.json, "request"), "subtype")) {
      case "can_use_tool": {
        const { items, line } = answerPermission(frame, this.#request.config);
        return this.#answer(frame, items, line);
      }
      case "elicitation":
      case "request_user_dialog":
        return this.#answer(frame, [native(frame)], cancelRequest(frame));
      default:
        return this.#answer(frame, this.#unknownItems(frame, requestKind(frame)), refuseRequest(frame));
    }
  }

  #answer(frame: Frame, items: readonly Item[], line: string): ProtocolOutput {
    this.#answers += 1;
    const writes = this.#closed ? [] : [{ kind: "line" as const, id: `answer-${this.#answers}`, text: line }];
    return { ...this.#out(frame, items), writes };
  }

  /** An answer to a request of ours matters only when it is a refusal. */
  #answered(frame: Frame): ProtocolOutput {
    const response = object(frame.json, "response");
    if (text(response, "subtype") !== "error") return nothing;
    const sentence = `claude-code refused the request ${text(response, "request_id")}: ${text(response, "error")}`;
    return this.#out(frame, [warning("control_refused", sentence)]);
  }

  #other(frame: Frame): ProtocolOutput {
    const limit = object(frame.json, "rate_limit_info");
    if (text(limit, "status") === "rejected") this.#resetMs = resetMs(limit);
    const items = otherItems(frame);
    return items === undefined ? this.#unknown(frame) : this.#out(frame, items);
  }

  #unknown(frame: Frame): ProtocolOutput {
    return this.#out(frame, this.#unknownItems(frame, frame.type));
  }

  #unknownItems(frame: Frame, kind: string): readonly Item[] {
    if (this.#warned.has(kind) || this.#warned.size >= maxWarnings) return [native(frame)];
    this.#warned.add(kind);
    return [
      native(frame),
      warning("unknown_frame", `claude-code sent a frame of an unknown kind, kept as it is: ${kind}`),
    ];
  }

  #out(frame: Frame, items: readonly Item[]): ProtocolOutput {
    return items.length === 0 ? nothing : { ...nothing, events: items.map((item) => stamp(item, frame, this.#turn)) };
  }

  #log(data: Uint8Array, stderr: boolean): ProtocolOutput {
    return {
      ...nothing,
      events: [{ turn: this.#turn, event: { case: "log", value: { data: data.slice(), stderr } } }],
    };
  }

  #outcome(exit: AgentExit): AgentOutcome {
    return this.#ending === undefined ? silentOutcome(exit, this.#lastErrors) : outcomeOf(this.#ending);
  }
}

function requestKind(frame: Frame): string {
  return `control_request/${text(object(frame.json, "request"), "subtype")}`.slice(0, 200);
}
