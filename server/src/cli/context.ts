import { type AgentManager, createAgentManager } from "@agent-manager/sdk";
import pico from "picocolors";
import type { Colors } from "picocolors/types.js";
import { ensureServer } from "./embedded-server.js";
import type { Environment, GlobalOptions } from "./globals.js";
import type { Terminal } from "./terminal.js";
import { safeJson } from "./untrusted.js";

/** What a command has at hand. */
export interface Context {
  readonly terminal: Terminal;
  readonly env: Environment;
  readonly globals: GlobalOptions;
  readonly paint: Colors;
  /** Prints one line of output. */
  print(line?: string): void;
  /** Prints one line of JSON. */
  printJson(value: unknown): void;
  /** A client of the service, which is started if there is none on this machine. */
  connect(): Promise<AgentManager>;
}

export function createContext(terminal: Terminal, env: Environment, globals: GlobalOptions): Context {
  return {
    terminal,
    env,
    globals,
    paint: pico.createColors(wantsColor(terminal, env, globals)),
    print: (line = "") => terminal.write(`${line}\n`),
    printJson: (value) => terminal.write(`${safeJson(JSON.stringify(value))}\n`),
    connect: async () => {
      const { started, ...address } = await ensureServer({ globals, env });
      if (started) {
        terminal.note(`started a server in the background (data in ${address.dataDir}; it ends when idle)`);
      }
      return createAgentManager(address);
    },
  };
}

function wantsColor(terminal: Terminal, env: Environment, globals: GlobalOptions): boolean {
  if (globals.color !== undefined) {
    return globals.color;
  }
  return !env.NO_COLOR && (terminal.tty || Boolean(env.FORCE_COLOR)) && env.TERM !== "dumb";
}
