import type { RunEvent } from "@agent-manager/sdk";
import type { Context } from "./context.js";
import { plainLine, shorten } from "./untrusted.js";
import { duration } from "./words.js";

const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/** The last line of a terminal: what goes on, and for how long. Elsewhere nothing. */
export class StatusLine {
  readonly #context: Context;
  readonly #paused: () => boolean;
  readonly #started = Date.now();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #text = "queued";
  #shown = false;
  #ticks = 0;

  constructor(context: Context, { paused }: { readonly paused: () => boolean }) {
    this.#context = context;
    this.#paused = paused;
    if (context.terminal.tty) {
      this.#timer = setInterval(() => this.#tick(), 120);
    }
  }

  /** Takes from an event what goes on now. */
  note({ event }: RunEvent): void {
    switch (event.case) {
      case "progress":
        this.#text = event.value.text || event.value.status || this.#text;
        return;
      case "toolCall":
        this.#text = event.value.title || event.value.name;
        return;
      case "runStateChanged":
      case "toolResult":
        this.#text = "working";
        return;
      default:
        return;
    }
  }

  /** Makes room for other lines. */
  hide(): void {
    if (this.#shown) {
      this.#context.terminal.write("\r\x1b[K");
      this.#shown = false;
    }
  }

  close(): void {
    this.hide();
    clearInterval(this.#timer);
  }

  #tick(): void {
    if (this.#paused()) {
      return;
    }
    const { terminal, paint } = this.#context;
    const sign = spinner[this.#ticks++ % spinner.length];
    const text = `${sign} ${duration(Date.now() - this.#started)}  ${plainLine(this.#text)}`;
    terminal.write(`\r\x1b[K${paint.dim(shorten(text, terminal.columns - 1))}`);
    this.#shown = true;
  }
}
