import type { ApplyConflict, ChangeSelection, ChangeSet } from "@agent-manager/sdk/proto";
import type { Sandbox } from "../sandbox/sandbox-provider.js";

/**
 * Base capture, change sets and apply: the same core over every provider whose workspace can be read. Nothing
 * the agent wrote is trusted: git never reads its configuration, and its paths are checked before any write.
 */
export interface Reviewer {
  /** Records the workspace as it is now as the base. Called once, before the agent starts. Idempotent. */
  captureBase(sandbox: Sandbox, signal?: AbortSignal): Promise<void>;

  /** What changed in the workspace against the base. The digest names exactly this content. */
  computeChangeSet(sandbox: Sandbox, signal?: AbortSignal): Promise<ChangeSet>;

  /**
   * Applies the change set with this digest to the project: all or nothing, three-way against the project as
   * it is now. Finishing an apply that a crash cut off is recover's business. Applying the same digest again
   * after it was applied returns "applied" again and writes nothing.
   */
  apply(request: ApplyRequest): Promise<ApplyResult>;

  /** Finishes or rolls back an apply of this sandbox that a crash cut off; does nothing if there is none. */
  recover(sandbox: Sandbox): Promise<void>;
}

export interface ApplyRequest {
  readonly sandbox: Sandbox;
  readonly digest: string;
  /** Unset: everything. A selection is refused with NOT_IMPLEMENTED for now. */
  readonly selection?: ChangeSelection;
  readonly signal?: AbortSignal;
}

export type ApplyResult =
  | { readonly kind: "applied"; readonly files: readonly string[] }
  | { readonly kind: "conflict"; readonly conflicts: readonly Omit<ApplyConflict, "$typeName">[] }
  /** The workspace has another content than the digest names. */
  | { readonly kind: "stale"; readonly digest: string };
