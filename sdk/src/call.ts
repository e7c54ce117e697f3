import { Code, type CallOptions as RpcOptions } from "@connectrpc/connect";
import { backoffMs, sleep } from "./backoff.js";
import { type AgentManagerError, createError } from "./errors.js";
import { fromWire } from "./wire-errors.js";

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Limits the call with all its retries, in milliseconds. Default: 60,000. 0: no limit. */
  readonly timeoutMs?: number;
}

/** What every call that changes something takes. */
export interface WriteOptions extends CallOptions {
  /**
   * Makes the call idempotent: the same id with the same request returns the first answer, also after a restart of
   * caller or service. At most 128 characters. Default: a new UUID, which covers the SDK's own retries only.
   */
  readonly requestId?: string;
}

/** Makes one unary call and repeats it while the service is unavailable. */
export type Call = <T>(rpc: (options: RpcOptions, attempt: number) => Promise<T>, options?: CallOptions) => Promise<T>;

/** Makes the `Call` of a client that repeats an unavailable call at most `maxRetries` times. */
export function createCall(maxRetries: number): Call {
  return async (rpc, options = {}) => {
    const deadline = deadlineOf(options);
    for (let attempt = 1; ; attempt++) {
      try {
        return await rpc(rpcOptions(options, deadline), attempt);
      } catch (thrown) {
        options.signal?.throwIfAborted();
        const error = fromWire(thrown);
        const waitMs = Math.max(error.retryAfterMs ?? 0, backoffMs(attempt, { baseMs: 100, maxMs: 5_000 }));
        if (error.code !== Code.Unavailable || attempt > maxRetries || Date.now() + waitMs > deadline) {
          throw error;
        }
        await sleep(waitMs, options.signal);
      }
    }
  };
}

/** The request id to send: the caller's, or a new one. */
export function requestIdOf(options: WriteOptions | undefined): string {
  return options?.requestId ?? globalThis.crypto.randomUUID();
}

/** The field that the service promises to set. Its absence is an error of the service. */
export function expectField<T>(value: T | undefined, field: string): T {
  if (value === undefined) {
    throw missing(field);
  }
  return value;
}

function missing(field: string): AgentManagerError {
  return createError(`the service's answer has no ${field}; client and service may not fit together`, {
    code: Code.Internal,
  });
}

function deadlineOf(options: CallOptions): number {
  const timeoutMs = options.timeoutMs ?? 60_000;
  return timeoutMs > 0 ? Date.now() + timeoutMs : Number.POSITIVE_INFINITY;
}

function rpcOptions(options: CallOptions, deadline: number): RpcOptions {
  return {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(Number.isFinite(deadline) ? { timeoutMs: Math.max(1, deadline - Date.now()) } : {}),
  };
}
