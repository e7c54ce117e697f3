import { invalidRequest } from "../domain/errors.js";
import { isId } from "../domain/ids.js";

/** For ids inside resources, which carry no rule of their own because creating leaves them empty. */
export function requireId(field: string, id: string): string {
  if (!isId(id)) {
    throw invalidRequest({ field, description: id === "" ? "must be set" : "must be a UUID" });
  }
  return id;
}
