/**
 * Keeps the server from starting. The message is a sentence for whoever started it: what, which, what now.
 * Unlike DomainError it never reaches a client.
 */
export class StartError extends Error {
  override readonly name = "StartError";
}
