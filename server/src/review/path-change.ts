import type { BytePath } from "./byte-path.js";
import type { Version } from "./entry.js";

/** One path that differs from the base; unset versions mean absent. */
export interface PathChange {
  readonly path: BytePath;
  readonly old: Version | undefined;
  readonly new: Version | undefined;
  readonly sizeBytes: number;
  /** Where a new link points to. */
  readonly linkTarget?: BytePath;
}

/** The workspace's content at one moment, stored in the private repository. */
export interface Snapshot {
  readonly baseTree: string;
  readonly tree: string;
  /** Names exactly this content. */
  readonly digest: string;
  /** By path. */
  readonly changes: readonly PathChange[];
  readonly warnings: readonly string[];
}
