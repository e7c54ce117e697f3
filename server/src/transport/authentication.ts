import { type ContextKey, createContextKey, type Interceptor } from "@connectrpc/connect";
import { DomainError } from "../domain/errors.js";
import type { Principal } from "../domain/principal.js";
import type { Authenticator } from "../security/principals.js";
import { accessOf } from "../security/roles.js";

export interface Credentials {
  readonly authenticator: Authenticator;
  /** The full name, "package.Service/Method". */
  readonly method: string;
  /** The authorization header. */
  readonly authorization: string | undefined;
}

/**
 * Says who calls, from the headers alone: undefined for a method that is open to all. Throws UNAUTHENTICATED or
 * ROLE_REQUIRED. A method without a row in the table of roles is denied to everybody.
 */
export function authenticate({ authenticator, method, authorization }: Credentials): Principal | undefined {
  const access = accessOf(method);
  if (access === "open") return undefined;
  const principal = authenticator.authenticate(bearerToken(authorization));
  if (principal === undefined) throw unauthenticated("the token is not one of this server");
  if (access?.includes(principal.role)) return principal;
  throw new DomainError("ROLE_REQUIRED", {
    method,
    role: principal.role,
    principal: principal.name,
    allowed: access?.join(", ") ?? "",
  });
}

/**
 * Why a call may not go on. Set to undefined for a call that may: the default refuses, so that a call which came
 * past the authentication is not served.
 */
export const refusalKey: ContextKey<DomainError | undefined> = createContextKey<DomainError | undefined>(
  unauthenticated("it was not checked"),
  { description: "why the call is refused" },
);

/** Ends refused calls before their handler is entered. */
export function refusalInterceptor(): Interceptor {
  return (next) => (request) => {
    const refusal = request.contextValues.get(refusalKey);
    if (refusal !== undefined) throw refusal;
    return next(request);
  };
}

function bearerToken(authorization: string | undefined): string {
  if (authorization === undefined) throw unauthenticated("the authorization header is missing");
  const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (token === undefined) throw unauthenticated("the authorization header is not 'Bearer <token>'");
  return token;
}

function unauthenticated(problem: string): DomainError {
  return new DomainError("UNAUTHENTICATED", { problem });
}
