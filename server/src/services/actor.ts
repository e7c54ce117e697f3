import type { HandlerContext } from "@connectrpc/connect";
import { principalKey } from "../security/principal-context.js";

/** The caller's name, for events and logs. */
export function actorOf(context: HandlerContext): string {
  return context.values.get(principalKey)?.name ?? "";
}
