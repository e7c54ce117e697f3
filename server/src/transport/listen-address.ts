import { lookup } from "node:dns/promises";
import { BlockList } from "node:net";

export interface ListenAddress {
  /** The IP address to bind. */
  readonly address: string;
  readonly loopback: boolean;
}

/** Finds the IP address of a host once, so that what is checked is what is bound. */
export async function resolveListenAddress(host: string): Promise<ListenAddress> {
  try {
    const { address, family } = await lookup(host);
    return { address, loopback: loopback.check(address, family === 6 ? "ipv6" : "ipv4") };
  } catch (error) {
    throw new Error(`cannot listen on '${host}': it is no address of this machine; use for example 127.0.0.1`, {
      cause: error,
    });
  }
}

/** Says why listening failed, and what to do. */
export function describeListenError(error: unknown, where: string): Error {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return new Error(`cannot listen on ${where}: ${listenProblem(code)}`, { cause: error });
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

function listenProblem(code: unknown): string {
  switch (code) {
    case "EADDRINUSE":
      return "the port is taken; stop the program that uses it (it may be another agent-manager) or choose another with --listen HOST:PORT";
    case "EACCES":
      return "this user may not use the port; choose one above 1023 with --listen HOST:PORT";
    case "EADDRNOTAVAIL":
      return "the address is not one of this machine; choose another with --listen HOST:PORT";
    default:
      return `the system refused (${String(code)}); choose another address with --listen HOST:PORT`;
  }
}
