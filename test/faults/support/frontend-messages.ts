export interface FrontendMessage {
  readonly bytes: Buffer;
  /** The text of the statement that this message has carried out. */
  readonly statement?: string;
}

const STARTUP_HEADER_BYTES = 4;
const HEADER_BYTES = 5;

/** Splits what a client says to Postgres into messages and knows which of them carry out which statement. */
export class FrontendMessages {
  #pending: Buffer = Buffer.alloc(0);
  #started = false;
  readonly #prepared = new Map<string, string>();

  push(chunk: Buffer): readonly FrontendMessage[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const messages: FrontendMessage[] = [];
    for (let bytes = this.#take(); bytes; bytes = this.#take()) messages.push(this.#read(bytes));
    return messages;
  }

  #take(): Buffer | undefined {
    const header = this.#started ? HEADER_BYTES : STARTUP_HEADER_BYTES;
    if (this.#pending.length < header) return undefined;
    // the length counts itself, but not the type in front of it
    const size = this.#pending.readUInt32BE(header - 4) + header - 4;
    if (this.#pending.length < size) return undefined;
    const bytes = this.#pending.subarray(0, size);
    this.#pending = this.#pending.subarray(size);
    return bytes;
  }

  #read(bytes: Buffer): FrontendMessage {
    if (!this.#started) {
      this.#started = true;
      return { bytes };
    }
    const [first = "", second = ""] = texts(bytes.subarray(HEADER_BYTES));
    switch (String.fromCharCode(bytes[0] ?? 0)) {
      case "Q":
        return { bytes, statement: first };
      case "P":
        this.#prepared.set(first, second);
        return { bytes };
      case "B":
        return { bytes, statement: this.#prepared.get(second) ?? "" };
      default:
        return { bytes };
    }
  }
}

/** The first two zero-terminated texts of a message. */
function texts(body: Buffer): readonly string[] {
  const end = body.indexOf(0);
  const next = body.indexOf(0, end + 1);
  return [body.toString("utf8", 0, end), body.toString("utf8", end + 1, next)];
}
