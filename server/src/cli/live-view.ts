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
  /** The item whose text is being written, and how much of it stands on the screen. */
  #open: { readonly itemId: string; text: string } | undefined;

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
    const streamed = this.#open;
    if (streamed !== undefined && event.itemId === streamed.itemId && this.#finishText(event, streamed.text)) {
      return;
    }
    this.#closeText();
    for (const line of describeEvent(event)) {
      if (line.text !== "") {
        this.#print(line);
      }
    }
  }

  /** Completes text that was streamed; false if what stands there is not what the event says. */
  #finishText(event: RunEvent, shown: string): boolean {
    if (event.event.case !== "message" && event.event.case !== "reasoning") {
      return false;
    }
    const full = plainText(event.event.value.text).trim();
    const sofar = shown.trim();
    if (!full.startsWith(sofar)) {
      return false;
    }
    this.#context.terminal.write(this.#paint(toneOf(event.event.case), full.slice(sofar.length)));
    this.#closeText();
    return true;
  }

  #showDelta(delta: Delta): void {
    const tone = delta.channel === DeltaChannel.MESSAGE ? "plain" : "dim";
    if (delta.channel !== DeltaChannel.MESSAGE && delta.channel !== DeltaChannel.REASONING) {
      return;
    }
    if (this.#open?.itemId !== delta.itemId) {
      this.#closeText();
      this.#clearStatus();
      this.#open = { itemId: delta.itemId, text: "" };
    }
    // Text begins at its first word: the full text is compared without the space around it.
    const text = this.#open?.text === "" ? plainText(delta.text).trimStart() : plainText(delta.text);
    if (this.#open !== undefined && text !== "") {
      this.#open.text += text;
      this.#context.terminal.write(this.#paint(tone, text));
    }
  }

  #closeText(): void {
    if (this.#open?.text) {
      this.#context.terminal.write("\n");
    }
    this.#open = undefined;
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
    if (this.#open !== undefined) {
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

function toneOf(kind: "message" | "reasoning"): Tone {
  return kind === "message" ? "plain" : "dim";
}
