import { Code } from "@connectrpc/connect";
import { createError } from "./errors.js";

/**
 * Yields what the source yields and fails when it is silent for too long. The clock runs only while the consumer waits
 * for the source, so a slow consumer never kills its own stream.
 */
export async function* withWatchdog<T>(
  source: AsyncIterable<T>,
  dog: { readonly silenceMs: () => number; readonly abandon: () => void },
): AsyncGenerator<T, void, void> {
  const iterator = source[Symbol.asyncIterator]();
  for (;;) {
    const result = await nextWithin(iterator, dog);
    if (result.done === true) {
      return;
    }
    yield result.value;
  }
}

async function nextWithin<T>(
  iterator: AsyncIterator<T>,
  dog: { readonly silenceMs: () => number; readonly abandon: () => void },
): Promise<IteratorResult<T>> {
  const silenceMs = dog.silenceMs();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      dog.abandon();
      reject(createError(`the service was silent for ${Math.round(silenceMs)} ms`, { code: Code.Unavailable }));
    }, silenceMs);
  });
  const next = iterator.next();
  next.catch(() => {}); // after an abandoned wait nobody else looks at it
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}
