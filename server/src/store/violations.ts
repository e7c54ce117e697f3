import { codeOf } from "../database/error-code.js";

/** True if a statement failed because a unique value exists already. */
export function isUniqueViolation(error: unknown): boolean {
  return codeOf(error) === "23505";
}

/** True if a statement failed because rows of another table refer to the row. */
export function isForeignKeyViolation(error: unknown): boolean {
  return codeOf(error) === "23503";
}
