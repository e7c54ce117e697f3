import { type ContextKey, createContextKey } from "@connectrpc/connect";
import type { Principal } from "../domain/principal.js";

/** Where a handler finds its caller: `context.values.get(principalKey)`. Undefined only in methods that are open to all. */
export const principalKey: ContextKey<Principal | undefined> = createContextKey<Principal | undefined>(undefined, {
  description: "the authenticated caller",
});
