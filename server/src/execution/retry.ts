import { setTimeout as sleep } from "node:timers/promises";
import { isUnavailable } from "../store/availability.js";

const MIN_DELAY_MS = 50;
const MAX_DELAY_MS = 2_000;

/**
 * Tries something that needs the database for as long as the database is away: the agents go on meanwhile and
 * their spools keep what they write. Any other error, and the abort, is thrown.
 */
export async function retryWhileUnavailable<T>(action: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let delayMs = MIN_DELAY_MS; ; delayMs = Math.min(delayMs * 2, MAX_DELAY_MS)) {
    try {
      return await action();
    } catch (error) {
      if (signal.aborted || !isUnavailable(error)) throw error;
      await sleep(delayMs, undefined, { signal });
    }
  }
}
