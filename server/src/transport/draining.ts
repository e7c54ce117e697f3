import type { Interceptor } from "@connectrpc/connect";
import { createLinkedAbortController } from "@connectrpc/connect/protocol";

/** Ends open streams when the server starts to leave; unary calls may still finish. */
export function drainInterceptor(draining: AbortSignal): Interceptor {
  return (next) => (request) => {
    if (!request.stream) return next(request);
    // Unlinks itself when the call is over, since Connect then fires the call's own signal.
    const { signal } = createLinkedAbortController(request.signal, draining);
    return next({ ...request, signal });
  };
}
