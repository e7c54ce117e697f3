import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

/** Thrown through a turn that was interrupted. */
export class Interrupted extends Error {}

/** Thrown through a turn that has already sent its result. */
export class TurnOver extends Error {}

/** One turn: the messages of the supposed model and the results of its tools, in claude's frames. */
export class Turn {
  paceMs = 0;
  #session;
  #abort = new AbortController();
  #started = Date.now();
  #requests = 0;
  #denials = [];
  #used = { input_tokens: 0, output_tokens: 0, cost_usd: 0 };

  constructor(session) {
    this.#session = session;
  }

  get signal() {
    return this.#abort.signal;
  }

  get options() {
    return this.#session.options;
  }

  interrupt() {
    this.#abort.abort();
  }

  async sleep(ms) {
    await delay(ms, undefined, { signal: this.signal }).catch(() => {});
    this.checkInterrupt();
  }

  checkInterrupt() {
    if (this.signal.aborted) throw new Interrupted();
  }

  async say(text) {
    await this.#message(
      { type: "text", text },
      { type: "text", text: "" },
      pieces(text, (piece) => ({ type: "text_delta", text: piece })),
    );
  }

  async think(text) {
    const signature = "scripted";
    await this.#message(
      { type: "thinking", thinking: text, signature },
      { type: "thinking", thinking: "", signature: "" },
      pieces(text, (piece) => ({ type: "thinking_delta", thinking: piece })),
    );
  }

  /** Announces a call of a tool; the answer is given by `result`. */
  async call(name, input) {
    const id = `toolu_${randomBytes(9).toString("hex")}`;
    const json = pieces(JSON.stringify(input), (piece) => ({ type: "input_json_delta", partial_json: piece }));
    await this.#message({ type: "tool_use", id, name, input }, { type: "tool_use", id, name, input: {} }, json);
    return id;
  }

  result(id, content, { isError = false, structured } = {}) {
    this.#session.send({
      type: "user",
      message: { role: "user", content: [{ tool_use_id: id, type: "tool_result", content, is_error: isError }] },
      parent_tool_use_id: null,
      timestamp: new Date().toISOString(),
      tool_use_result: structured ?? (isError ? `Error: ${content}` : content),
    });
    this.checkInterrupt();
  }

  /** Asks for permission; true if it was given. */
  async ask(id, name, input) {
    const asked = this.#session.ask({
      subtype: "can_use_tool",
      tool_name: name,
      display_name: name,
      input,
      permission_suggestions: [],
      tool_use_id: id,
    });
    // Nobody answers once the turn was interrupted.
    const answer = await Promise.race([asked, once(this.signal, "abort")]);
    this.checkInterrupt();
    const allowed = answer.behavior === "allow";
    if (!allowed) this.#denials.push({ tool_name: name, tool_use_id: id, tool_input: input });
    return { allowed, message: answer.message ?? "" };
  }

  addUsage(usage) {
    for (const key of Object.keys(this.#used)) this.#used[key] += usage[key] ?? 0;
  }

  succeed(text) {
    this.#end({
      subtype: "success",
      is_error: false,
      api_error_status: null,
      result: text,
      stop_reason: "end_turn",
      terminal_reason: "completed",
    });
  }

  interrupted() {
    const content = [{ type: "text", text: "[Request interrupted by user]" }];
    this.#session.send({
      type: "user",
      message: { role: "user", content },
      parent_tool_use_id: null,
      timestamp: new Date().toISOString(),
    });
    this.#end({ subtype: "error_during_execution", terminal_reason: "aborted_streaming", errors: ["interrupted"] });
  }

  /** Ends the turn with an error: of the API (with a status), or of the given subtype. */
  fail({ subtype = "success", status = null, text = "failed", error = "unknown" }) {
    if (subtype !== "success") return this.#end({ subtype, errors: [text] });
    const message = {
      id: `msg_${randomBytes(9).toString("hex")}`,
      model: "<synthetic>",
      role: "assistant",
      type: "message",
      content: [{ type: "text", text }],
    };
    this.#session.send({ type: "assistant", message, parent_tool_use_id: null, error });
    return this.#end({
      subtype,
      is_error: true,
      api_error_status: status,
      result: text,
      stop_reason: "stop_sequence",
      terminal_reason: "completed",
    });
  }

  over() {
    throw new TurnOver();
  }

  resultFrame(facts) {
    const { input_tokens, output_tokens, cost_usd } = this.#session.usage;
    const model = {
      inputTokens: input_tokens,
      outputTokens: output_tokens,
      cacheReadInputTokens: 0,
      cacheCreationInputTokens: 0,
      webSearchRequests: 0,
      costUSD: cost_usd,
      contextWindow: 200_000,
      maxOutputTokens: 64_000,
    };
    return {
      type: "result",
      is_error: true,
      duration_ms: Date.now() - this.#started,
      duration_api_ms: 0,
      num_turns: this.#requests,
      stop_reason: null,
      total_cost_usd: cost_usd,
      usage: {
        input_tokens: this.#used.input_tokens,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 0,
        output_tokens: this.#used.output_tokens,
        service_tier: "standard",
      },
      modelUsage: input_tokens + output_tokens === 0 ? {} : { [this.options.model]: model },
      permission_denials: this.#denials,
      ...facts,
    };
  }

  #end(facts) {
    const total = this.#session.usage;
    for (const key of Object.keys(total)) total[key] += this.#used[key];
    const frame = this.resultFrame(facts);
    this.#session.failed = frame.is_error;
    this.#session.send(frame);
  }

  /** A message of one block: what is streamed of it, then the whole. */
  async #message(block, opened, deltas) {
    this.checkInterrupt();
    this.#countRequest();
    const message = {
      id: `msg_${randomBytes(9).toString("hex")}`,
      type: "message",
      role: "assistant",
      model: this.options.model,
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 100, output_tokens: 10 },
    };
    this.addUsage({ input_tokens: 100, output_tokens: 10, cost_usd: 0.00045 });
    this.#stream({ type: "message_start", message: { ...message, content: [] } });
    this.#stream({ type: "content_block_start", index: 0, content_block: opened });
    for (const delta of deltas) {
      this.#stream({ type: "content_block_delta", index: 0, delta });
      if (this.paceMs > 0) await this.sleep(this.paceMs);
    }
    this.#session.send({
      type: "assistant",
      message: { ...message, content: [block], context_management: null },
      parent_tool_use_id: null,
    });
    this.#stream({ type: "content_block_stop", index: 0 });
    const stop = block.type === "tool_use" ? "tool_use" : "end_turn";
    this.#stream({
      type: "message_delta",
      delta: { stop_reason: stop, stop_sequence: null },
      usage: { output_tokens: 10 },
    });
    this.#stream({ type: "message_stop" });
  }

  #stream(event) {
    if (this.options.partial) this.#session.send({ type: "stream_event", event, parent_tool_use_id: null });
  }

  #countRequest() {
    const { maxTurns } = this.options;
    this.#requests += 1;
    if (maxTurns === 0 || this.#requests <= maxTurns) return;
    this.#end({
      subtype: "error_max_turns",
      terminal_reason: "max_turns",
      stop_reason: "tool_use",
      errors: [`Reached maximum number of turns (${maxTurns})`],
    });
    this.over();
  }
}

function pieces(text, wrap) {
  return (text.match(/[\s\S]{1,20}/g) ?? []).map(wrap);
}
