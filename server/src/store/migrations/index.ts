import type { Migration } from "kysely";
import { initial } from "./0001-initial.js";

/** Every migration in order. A published one is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
  "0001-initial": initial,
};
