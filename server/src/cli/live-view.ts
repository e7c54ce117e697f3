import type { RunEvent, RunFrame } from "@agent-manager/sdk";
import { DeltaChannel } from "@agent-manager/sdk/proto";
import type { Context } from "./context.js";
import { describeEvent, type Line } from "./event-lines.js";
import { StatusLine } from "./status-line.js";
import { paintTone, type Tone } from "./tone.js";
import { plainText } from "./untrusted.js";

type Delta = Extract<RunFrame, { readonly kind: "delta" }>["delta"];

/**
 * Shows a run as it happens: a line per event, the text of messages as it is written, and on a terminal a last line that
 * shows that something goes on.
 */
export class LiveView {
  readonly #context: Context;
  readonly #status: StatusLine;
  /** The item whose text is being written; empty if none. */
  #writing = "";
  /** What was shown of items whose full text has not come yet. */
  readonly #shown = new Map<string, string>();
  /** The cursor stands behind such text. */
  #inText = false;
  /** Lines that wait until the text is complete: partial text runs ahead of the log, which is durable first. */
  #held: Line[] = [];
  /** Where the agent works; its absolute paths are shown relative to it. */
  #workingDirectory = "";

  constructor(context: Context) {
    this.#context = context;
    // While text is being written, that shows that something goes on.
    this.#status = new StatusLine(context, { paused: () => this.#inText });
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
    this.#endText();
    this.#print({ tone, text });
  }

  close(): void {
    this.#endText();
    this.#status.close();
  }

  #showEvent(event: RunEvent): void {
    this.#status.note(event);
    if (event.event.case === "sessionBound") {
      this.#workingDirectory = plainText(event.event.value.workingDirectory);
    }
    if (this.#finishText(event)) {
      return;
    }
    const lines = describeEvent(event).filter(({ text }) => text !== "");
    this.#held.push(...lines.map((line) => this.#withoutFolder(line)));
    if (this.#writing === "" || event.event.case === "runStateChanged") {
      this.#endText();
    }
  }

  /** Completes text that was streamed; false if none was, or another than the event says. */
  #finishText({ event, itemId }: RunEvent): boolean {
    const shown = this.#shown.get(itemId)?.trim();
    if ((event.case !== "message" && event.case !== "reasoning") || shown === undefined) {
      return false;
    }
    this.#shown.delete(itemId);
    const full = plainText(event.value.text).trim();
    const current = this.#writing === itemId;
    if (!(current ? full.startsWith(shown) : full === shown)) {
      return false; // its beginning was missed, or its end
    }
    if (current) {
      this.#writeText(event.case === "message" ? "plain" : "dim", full.slice(shown.length));
      this.#endText();
    }
    return true;
  }

  #showDelta(delta: Delta): void {
    const isText = delta.channel === DeltaChannel.MESSAGE || delta.channel === DeltaChannel.REASONING;
    if (!this.#context.terminal.tty || !isText) {
      return;
    }
    if (this.#writing !== delta.itemId) {
      this.#endText();
      this.#writing = delta.itemId;
    }
    const shown = this.#shown.get(delta.itemId) ?? "";
    const plain = plainText(delta.text);
    // Text begins at its first word: the full text is compared without the space around it.
    const text = shown === "" ? plain.trimStart() : plain;
    this.#shown.set(delta.itemId, shown + text);
    this.#writeText(delta.channel === DeltaChannel.MESSAGE ? "plain" : "dim", text);
  }

  #writeText(tone: Tone, text: string): void {
    if (text !== "") {
      this.#status.hide();
      this.#context.terminal.write(paintTone(this.#context.paint, tone, text));
      this.#inText = true;
    }
  }

  #endText(): void {
    if (this.#inText) {
      this.#context.terminal.write("\n");
      this.#inText = false;
    }
    this.#writing = "";
    for (const line of this.#held.splice(0)) {
      this.#print(line);
    }
  }

  #withoutFolder(line: Line): Line {
    const folder = this.#workingDirectory;
    return folder === "" ? line : { ...line, text: line.text.replaceAll(`${folder}/`, "") };
  }

  #print(line: Line): void {
    this.#status.hide();
    this.#context.print(paintTone(this.#context.paint, line.tone, line.text));
  }
}
