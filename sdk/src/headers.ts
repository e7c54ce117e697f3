import type { Interceptor } from "@connectrpc/connect";

/** Puts the token and the given headers on every call. */
export function withHeaders(options: {
  readonly token: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}): Interceptor {
  return (next) => (request) => {
    if (options.token !== "") {
      request.header.set("Authorization", `Bearer ${options.token}`);
    }
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      request.header.set(name, value);
    }
    return next(request);
  };
}
