import type { RunEvent, RunFrame } from "@agent-manager/sdk";
import { DeltaChannel } from "@agent-manager/sdk/proto";
import type { Context } from "./context.js";
import { describeEvent, type Line, type Tone } from "./event-lines.js";
import { plainText, shorten } from "./untrusted.js";
import { duration } from "./words.js";

type Delta = Extract<RunFrame, { readonly kind: "delta" }>["delta"];

const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/**
 * Shows a run as it happens: a line per event, the text of messages as it is written, and on a terminal a last line that
 * shows that something goes on.
 */
export class LiveView {
  readonly #context: Context;
  readonly #started = Date.now();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #status = "queued";
  #statusShown = false;
  #ticks = 0;
  /** The item whose text is being written, and how much of it was shown. */
  #streamed = { itemId: "", text: "" };
  /** The cursor stands behind such text. */
  #inText = false;

  constructor(context: Context) {
    this.#context = context;
    if (context.terminal.tty) {
      this.#timer = setInterval(() => this.#tick(), 120);
    }
  }

  show(frame: RunFrame): void {
    if (frame.kind === "delta") {
      this.#showDelta(frame.delta);
    } else {
      this.#showEvent(frame.event);
    }
  }

  /** A line of the command itself. */
  say(text: string, tone: Tone = "dim"): void {
    this.#closeText();
    this.#print({ tone, text });
  }

  close(): void {
    this.#closeText();
    this.#clearStatus();
    clearInterval(this.#timer);
  }

  #showEvent(event: RunEvent): void {
    this.#noteStatus(event);
    if (this.#finishText(event)) {
      return;
    }
    for (const line of describeEvent(event)) {
      if (line.text !== "") {
        this.#closeText();
        this.#print(line);
      }
    }
  }

  /** Completes text that was streamed; false if there is none, or another than the event says. */
  #finishText({ event, itemId }: RunEvent): boolean {
    const shown = this.#streamed;
    if ((event.case !== "message" && event.case !== "reasoning") || itemId !== shown.itemId || shown.text === "") {
      return false;
    }
    const full = plainText(event.value.text).trim();
    const soFar = shown.text.trim();
    if (!full.startsWith(soFar)) {
      return false; // the beginning was missed
    }
    this.#writeText(event.case === "message" ? "plain" : "dim", full.slice(soFar.length));
    this.#closeText();
    this.#streamed = { itemId: "", text: "" };
    return true;
  }

  #showDelta(delta: Delta): void {
    if (delta.channel !== DeltaChannel.MESSAGE && delta.channel !== DeltaChannel.REASONING) {
      return;
    }
    if (this.#streamed.itemId !== delta.itemId) {
      this.#closeText();
      this.#streamed = { itemId: delta.itemId, text: "" };
    }
    const plain = plainText(delta.text);
    // Text begins at its first word: the full text is compared without the space around it.
    const text = this.#streamed.text === "" ? plain.trimStart() : plain;
    this.#streamed.text += text;
    this.#writeText(delta.channel === DeltaChannel.MESSAGE ? "plain" : "dim", text);
  }

  #writeText(tone: Tone, text: string): void {
    if (text !== "") {
      this.#clearStatus();
      this.#context.terminal.write(this.#paint(tone, text));
      this.#inText = true;
    }
  }

  #closeText(): void {
    if (this.#inText) {
      this.#context.terminal.write("\n");
      this.#inText = false;
    }
  }

  #print(line: Line): void {
    this.#clearStatus();
    this.#context.print(this.#paint(line.tone, line.text));
  }

  #paint(tone: Tone, text: string): string {
    const { paint } = this.#context;
    switch (tone) {
      case "plain":
        return text;
      case "dim":
        return paint.dim(text);
      case "tool":
        return paint.cyan(text);
      case "good":
        return paint.green(text);
      case "warning":
        return paint.yellow(text);
      case "bad":
        return paint.red(text);
      default:
        return tone satisfies never;
    }
  }

  #noteStatus({ event }: RunEvent): void {
    switch (event.case) {
      case "progress":
        this.#status = event.value.text || event.value.status || this.#status;
        return;
      case "runStateChanged":
      case "toolCall":
      case "command":
        this.#status = event.case === "toolCall" ? event.value.title || event.value.name : "working";
        return;
      default:
        return;
    }
  }

  #tick(): void {
    if (this.#inText) {
      return; // the text that comes in shows that something goes on
    }
    const elapsed = duration(Date.now() - this.#started);
    const text = `${spinner[this.#ticks++ % spinner.length]} ${elapsed}  ${plainText(this.#status).replace(/\s+/g, " ")}`;
    this.#context.terminal.write(
      `\r\x1b[K${this.#context.paint.dim(shorten(text, this.#context.terminal.columns - 1))}`,
    );
    this.#statusShown = true;
  }

  #clearStatus(): void {
    if (this.#statusShown) {
      this.#context.terminal.write("\r\x1b[K");
      this.#statusShown = false;
    }
  }
}
