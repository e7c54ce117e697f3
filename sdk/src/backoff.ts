/** How long to wait before attempt n (from 1): doubles from `baseMs` to `maxMs`, with equal jitter. */
export function backoffMs(attempt: number, limits: { readonly baseMs: number; readonly maxMs: number }): number {
  const ceiling = Math.min(limits.maxMs, limits.baseMs * 2 ** Math.min(attempt - 1, 30));
  // Half fixed, half random: a thousand clients that lost one server do not come back at the same instant.
  return ceiling / 2 + Math.random() * (ceiling / 2);
}

/** Waits; rejects with the signal's reason if it aborts first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    function abort() {
      clearTimeout(timer);
      reject(signal?.reason);
    }
    signal?.addEventListener("abort", abort, { once: true });
  });
}
