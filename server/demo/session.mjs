import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Turn } from "./turn.mjs";

const tools = ["Task", "AskUserQuestion", "Bash", "Edit", "Glob", "Grep", "NotebookEdit", "Read", "TodoWrite", "Write"];

/** One process: what is the same for all of its turns, and the control requests both ways. */
export class Session {
  failed = false;
  #answers = new Map();
  #turn;
  #requests = 0;
  #inputOpen = true;

  constructor(options) {
    this.options = options;
    this.id = options.resume ?? options.sessionId ?? randomUUID();
    this.usage = { input_tokens: 0, output_tokens: 0, cost_usd: 0 };
  }

  /** Takes the session's id; says what is wrong with it, if something is. */
  open() {
    const home = process.env.CLAUDE_CONFIG_DIR;
    if (home === undefined) return undefined;
    const folder = join(home, "projects", "scripted-agent");
    const file = join(folder, `${this.id}.jsonl`);
    if (this.options.resume !== undefined && !existsSync(file)) {
      const text = `No conversation found with session ID: ${this.id}`;
      return {
        stderr: `${text}\n`,
        result: new Turn(this).resultFrame({ subtype: "error_during_execution", errors: [text] }),
      };
    }
    if (this.options.resume === undefined && existsSync(file)) {
      return { stderr: `Error: Session ID ${this.id} is already in use.\n` };
    }
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, "", { flag: "a" });
    return undefined;
  }

  /** Writes one frame. Pipes are written synchronously, so nothing is lost when the process is killed next. */
  send(frame) {
    process.stdout.write(`${JSON.stringify({ ...frame, session_id: this.id, uuid: randomUUID() })}\n`);
  }

  startTurn() {
    this.#turn = new Turn(this);
    this.#state("running");
    this.send({
      type: "system",
      subtype: "init",
      cwd: process.cwd(),
      tools: tools.filter((tool) => !this.options.denied.includes(tool)),
      mcp_servers: [],
      model: this.options.model,
      permissionMode: this.options.permissionMode,
      slash_commands: [],
      apiKeySource: "none",
      claude_code_version: "2.1.197",
      output_style: "default",
      agents: [],
      skills: [],
      plugins: [],
    });
    return this.#turn;
  }

  endTurn() {
    this.#turn = undefined;
    this.#state("idle");
  }

  interrupt() {
    this.#turn?.interrupt();
  }

  inputEnded() {
    this.#inputOpen = false;
    for (const answer of this.#answers.values()) answer({ behavior: "deny", message: "standard input was closed" });
  }

  /** Asks for permission and waits for the answer. */
  ask(request) {
    this.#requests += 1;
    const id = `scripted-${this.#requests}`;
    process.stdout.write(`${JSON.stringify({ type: "control_request", request_id: id, request })}\n`);
    if (!this.#inputOpen) return Promise.resolve({ behavior: "deny", message: "standard input was closed" });
    return new Promise((resolve) => this.#answers.set(id, resolve)).finally(() => this.#answers.delete(id));
  }

  /** A control frame from the other side. */
  receive(frame) {
    if (frame.type === "control_response") {
      const { request_id: id, response, error } = frame.response ?? {};
      this.#answers.get(id)?.(response ?? { behavior: "deny", message: error ?? "refused" });
      return;
    }
    if (frame.type === "control_request") this.#answer(frame.request_id, frame.request ?? {});
  }

  #answer(id, request) {
    const reply = (response) => process.stdout.write(`${JSON.stringify({ type: "control_response", response })}\n`);
    const success = (response) => reply({ subtype: "success", request_id: id, ...(response ? { response } : {}) });
    switch (request.subtype) {
      case "initialize":
        return success({
          commands: [],
          agents: [],
          output_style: "default",
          models: [],
          account: {},
          pid: process.pid,
        });
      case "interrupt":
        success();
        return this.interrupt();
      case "set_permission_mode":
        this.options.permissionMode = request.mode;
        return success({ mode: request.mode });
      case "set_model":
        this.options.model = request.model;
        return success();
      default:
        return reply({
          subtype: "error",
          request_id: id,
          error: `Unsupported control request subtype: ${request.subtype}`,
        });
    }
  }

  #state(state) {
    if (process.env.CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS !== "1") return;
    this.send({ type: "system", subtype: "session_state_changed", state });
  }
}
