import { recogniseOutsideFailure } from "../domain/outside-failure.js";

/**
 * True if an error of the driver says that the database is away, full or busy, so that the same statement may
 * succeed later; false if the statement itself was refused or the error is our own.
 */
export function isUnavailable(error: unknown): boolean {
  if (recogniseOutsideFailure(error)) return true;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return TRANSIENT.test(code);
}

/** SQLSTATE classes: insufficient resources, operator intervention, system error, serialization, lock not available. */
const TRANSIENT = /^(53|57|58|40|55)[0-9A-Z]{3}$/;
