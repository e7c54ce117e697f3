import type { HttpHandler, HttpResponse } from "./node-http.js";

/** The requests whose answer is not finished. */
export class OpenRequests {
  readonly #open = new Set<HttpResponse>();
  #onEmpty: () => void = () => undefined;

  /** The same handler, its requests counted. */
  track(handler: HttpHandler): HttpHandler {
    return (request, response) => {
      this.#open.add(response);
      response.once("close", () => this.#remove(response));
      handler(request, response);
    };
  }

  /** Waits until no request is open; false if some are still open after the time. One waits at a time. */
  async ended(timeoutMs: number): Promise<boolean> {
    if (this.#open.size === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #remove(response: HttpResponse): void {
    this.#open.delete(response);
    if (this.#open.size === 0) this.#onEmpty();
  }
}
