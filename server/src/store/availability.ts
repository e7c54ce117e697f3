/**
 * True if an error of the driver says that the database is away or busy, so that the same statement may
 * succeed later; false if the statement itself was refused or the error is our own.
 */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "") return /connection terminated|timeout exceeded|not queryable|connection error/i.test(error.message);
  if (/^E[A-Z]+$/.test(code)) return true; // ECONNREFUSED, ENOENT on the socket, EPIPE ...
  // connection, insufficient resources (disk full, too many connections), operator intervention, serialization,
  // lock not available
  return /^(08|53|57|58|40|55)/.test(code);
}
