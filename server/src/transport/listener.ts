import { setMaxListeners } from "node:events";
import type { ConnectError, ConnectRouter, Interceptor } from "@connectrpc/connect";
import type { Logger } from "pino";
import { DomainError } from "../domain/errors.js";
import { createOriginPolicy } from "../security/hosts.js";
import type { Authenticator } from "../security/principals.js";
import { toConnectError } from "./errors.js";
import { createFront, type Front } from "./front.js";
import { resolveListenAddress } from "./listen-address.js";
import { OpenRequests } from "./open-requests.js";
import { createRequestGate } from "./request-gate.js";
import { createRpcHandler } from "./rpc-handler.js";
import { ownServices } from "./served-services.js";
import type { TlsOptions } from "./tls-front.js";
import { warmValidation } from "./validation.js";

export interface ListenerOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** Further interceptors, outermost first; they see authenticated calls and may throw DomainErrors. */
  readonly interceptors?: readonly Interceptor[];
  readonly authenticator: Authenticator;
  /** Names besides loopback and the listen host that requests may be addressed to, with or without port. */
  readonly allowedHosts?: readonly string[];
  /** Web origins whose pages may call, for example "https://inbox.example.com". */
  readonly allowedOrigins?: readonly string[];
  /** Needed for every address but loopback. */
  readonly tls?: TlsOptions;
  readonly log: Logger;
}

/** One address that serves gRPC, gRPC-Web and Connect over HTTP/1.1 and HTTP/2. */
export interface Listener {
  /** Starts to listen; port 0 takes a free one. Rejects, with what to do, if the address cannot be used. */
  listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly url: string; readonly port: number }>;
  /**
   * Stops accepting, ends open streams with UNAVAILABLE (SERVER_SHUTTING_DOWN), gives unary calls the grace to
   * finish, then ends them too and closes every connection. Calling it again waits for the same end.
   */
  close(options: { readonly graceMs: number }): Promise<void>;
}

export function createListener(options: ListenerOptions): Listener {
  const calls = new OpenRequests();
  const draining = manyListeners(new AbortController());
  const shutdown = manyListeners(new AbortController());
  const rpcHandler = createRpcHandler({
    interceptors: [],
    ...options,
    draining: draining.signal,
    shutdown: shutdown.signal,
  });
  let front: Front | undefined;
  let closed: Promise<void> | undefined;

  return {
    async listen({ host, port }) {
      if (front !== undefined || closed !== undefined) throw new Error("a listener listens once");
      const { address, loopback } = await resolveListenAddress(host);
      if (!loopback && options.tls === undefined) throw exposedError(host);
      const policy = createOriginPolicy({ listenHost: host, allowedHosts: [], allowedOrigins: [], ...options });
      const gate = createRequestGate({ policy, log: options.log, handler: rpcHandler });
      front = createFront({ handler: calls.track(gate), tls: options.tls, log: options.log });
      const bound = await front.listen({ address, port, host });
      void warmValidation(ownServices);
      return { url: urlOf({ host, port: bound, secure: options.tls !== undefined }), port: bound };
    },
    close({ graceMs }) {
      closed ??= leave({ front, calls, draining, shutdown, graceMs, reason: shutdownReason(options.log) });
      return closed;
    },
  };
}

/** Every open call adds a listener; node takes more than ten for a leak and warns. */
function manyListeners(controller: AbortController): AbortController {
  setMaxListeners(0, controller.signal);
  return controller;
}

interface Leaving {
  readonly front: Front | undefined;
  readonly calls: OpenRequests;
  readonly draining: AbortController;
  readonly shutdown: AbortController;
  readonly graceMs: number;
  readonly reason: ConnectError;
}

async function leave({ front, calls, draining, shutdown, graceMs, reason }: Leaving): Promise<void> {
  front?.refuseNew();
  draining.abort(reason);
  if (!(await calls.ended(graceMs))) {
    shutdown.abort(reason);
    // Long enough for the handlers that heed their signal to answer; the others lose their connection.
    await calls.ended(250);
  }
  await front?.destroy();
}

function shutdownReason(log: Logger): ConnectError {
  return toConnectError(new DomainError("SERVER_SHUTTING_DOWN", {}, { retryAfterMs: 1_000 }), log);
}

function exposedError(host: string): Error {
  return new Error(
    `refusing to listen on ${host} without TLS: tokens and prompts would cross the network in clear; give a certificate and key, or listen on 127.0.0.1 and put a TLS proxy or an SSH tunnel in front`,
  );
}

function urlOf({
  host,
  port,
  secure,
}: {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
}): string {
  // A wildcard is no address to call.
  const name = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  return `${secure ? "https" : "http"}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}
