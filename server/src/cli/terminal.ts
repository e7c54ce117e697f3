import { createInterface } from "node:readline/promises";

/** What commands print to and ask through. Texts must be plain already (see untrusted.ts). */
export interface Terminal {
  /** A person sits there: both ends are terminals. */
  readonly interactive: boolean;
  /** Standard output understands colours and cursor moves. */
  readonly tty: boolean;
  readonly columns: number;
  /** To standard output, as it is. */
  write(text: string): void;
  /** A line to standard error. */
  note(text: string): void;
  /** Asks; empty at the end of input or on Ctrl-C. */
  ask(question: string): Promise<string>;
  /** Calls the handler at Ctrl-C or SIGTERM until the returned function is called. */
  onInterrupt(handler: () => void): () => void;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  // A reader that leaves early (`| head`) is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  return {
    interactive: process.stdin.isTTY === true && process.stdout.isTTY === true,
    tty: process.stdout.isTTY === true,
    get columns() {
      return process.stdout.columns || 80; // a pseudo terminal without a size says 0
    },
    write: (text) => void process.stdout.write(text),
    note: (text) => void process.stderr.write(`${text}\n`),
    ask,
    onInterrupt: (handler) => {
      process.on("SIGINT", handler);
      process.on("SIGTERM", handler);
      return () => {
        process.off("SIGINT", handler);
        process.off("SIGTERM", handler);
      };
    },
  };
}

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const left = new AbortController();
  lines.on("SIGINT", () => left.abort());
  lines.on("close", () => left.abort());
  try {
    return await lines.question(question, { signal: left.signal });
  } catch {
    process.stdout.write("\n");
    return "";
  } finally {
    lines.close();
  }
}
