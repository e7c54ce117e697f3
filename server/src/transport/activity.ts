import type { Interceptor } from "@connectrpc/connect";

/** Knows when a call was last under way, so that a server that nobody uses can leave. */
export class Activity {
  #open = 0;
  #lastMs = Date.now();

  /** For how long no call has been under way, in milliseconds. */
  idleMs(): number {
    return this.#open > 0 ? 0 : Date.now() - this.#lastMs;
  }

  readonly interceptor: Interceptor = (next) => async (request) => {
    this.#open += 1;
    let streaming = false;
    try {
      const response = await next(request);
      if (!response.stream) return response;
      streaming = true;
      return { ...response, message: this.#untilDone(response.message) };
    } finally {
      if (!streaming) this.#done();
    }
  };

  async *#untilDone<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* messages;
    } finally {
      this.#done();
    }
  }

  #done(): void {
    this.#open -= 1;
    this.#lastMs = Date.now();
  }
}
