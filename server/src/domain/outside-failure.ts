import { DomainError } from "./errors.js";

/** Names the outside failures that have a reason of their own: the database is away, the disk is full. */
export function recogniseOutsideFailure(error: unknown): DomainError | undefined {
  if (isDiskFull(error)) return new DomainError("DISK_FULL", {}, { cause: error });
  if (isDatabaseAway(error)) return new DomainError("DATABASE_UNAVAILABLE", {}, { cause: error, retryAfterMs: 1_000 });
  return undefined;
}

function isDiskFull(error: unknown): boolean {
  return diskFullCodes.has(codeOf(error));
}

// Only the error itself is looked at, never its cause: `fetch` to a sandbox service also ends in an ECONNREFUSED,
// wrapped in a TypeError, and is no failure of the database.
function isDatabaseAway(error: unknown): boolean {
  // Node tries each address of a name and gathers what went wrong.
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isDatabaseAway);
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  if (code === "ENOENT") return "syscall" in error && error.syscall === "connect";
  return connectionCodes.has(code) || /^(08...|57P0.)$/.test(code) || connectionTexts.test(error.message);
}

const diskFullCodes: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "53100"]);

const connectionCodes: ReadonlySet<string> = new Set([
  ...["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND", "EAI_AGAIN"],
  ...["53200", "53300", "25006", "25P03"], // out of memory, too many connections, a standby, idle too long
  ...["40001", "40P01", "55P03", "57014"], // serialization, deadlock, lock and statement timeouts
]);

// pg gives these no code.
const connectionTexts =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed)/;

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
