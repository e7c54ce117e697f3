import type { BytePath } from "./byte-path.js";
import type { Version } from "./entry.js";

/** One path that differs from the base; unset versions mean absent. */
export interface PathChange {
  readonly path: BytePath;
  readonly old: Version | undefined;
  readonly new: Version | undefined;
  readonly sizeBytes: number;
  /** One of the versions is too large to be held in memory or shown in a diff. */
  readonly large: boolean;
  /** Where a new link points to. */
  readonly linkTarget?: BytePath;
}

/** The workspace's content at one moment, stored in the private repository. */
export interface Snapshot {
  readonly baseTree: string;
  readonly tree: string;
  /** The same without the changes of large files: what the diff is made of. */
  readonly diffTree: string;
  /** Names exactly this content. */
  readonly digest: string;
  /** By path. */
  readonly changes: readonly PathChange[];
  readonly warnings: readonly string[];
}
