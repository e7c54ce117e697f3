import { claudeCode } from "./claude-code/claude-code.js";
import type { Runner } from "./runner.js";

/** Every runner by id. A new one is one line here and one folder beside this file. */
export const runners: ReadonlyMap<string, Runner> = new Map([claudeCode].map((runner) => [runner.id, runner]));
