interface StreamOptions<T> {
  readonly messages: AsyncIterable<T>;
  readonly signal: AbortSignal;
  /** Makes the error that the stream ends with from what the handler threw or the signal's reason. */
  readonly convert: (error: unknown) => Error;
}

/**
 * The same messages, ending with an error as soon as the signal fires, also while the handler waits for
 * something that does not heed the signal. A handler that answers the signal by returning would otherwise look
 * to the client like a stream that is complete.
 */
export async function* endOnAbort<T>({ messages, signal, convert }: StreamOptions<T>): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  const waiting = new AbortableWait(signal);
  try {
    while (true) {
      const result = await waiting.for(iterator.next());
      if (result.done === true) break;
      yield result.value;
    }
  } catch (error) {
    throw convert(error);
  } finally {
    waiting.stop();
    // Not awaited: a generator that is stuck in an await queues its return behind it.
    iterator.return?.()?.catch(() => undefined);
  }
}

/**
 * Waits for promises in turn, with one listener in all: a listener, or a reaction on one long-lived promise, per
 * message would pile up over the life of a stream.
 */
class AbortableWait {
  readonly #signal: AbortSignal;
  #reject: (reason: unknown) => void = () => undefined;
  readonly #onAbort = () => this.#reject(this.#signal.reason);

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort);
  }

  for<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      if (this.#signal.aborted) this.#onAbort();
      promise.then(resolve, reject);
    });
  }

  stop(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}
