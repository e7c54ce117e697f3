import { runProgram } from "./program.js";
import { processTerminal } from "./terminal.js";

/** The `agent-manager` command: runs and ends the process's work with the right exit code. */
export async function main(args: readonly string[]): Promise<void> {
  process.exitCode = await runProgram(args, { terminal: processTerminal(), env: process.env });
}
