import type { Command } from "commander";
import type { Context } from "./context.js";

/**
 * Gives a handler its context. The handler gets the arguments as commander gives them, options last; a number that it
 * returns is the command's exit code.
 */
export type WithContext = <Given extends readonly unknown[]>(
  handler: (context: Context, ...given: Given) => unknown,
) => (...given: Given) => Promise<void>;

/** Adds a command to the program. */
export type RegisterCommand = (program: Command, withContext: WithContext) => void;
