import { DomainError } from "./errors.js";

/** The etag of a row with this version: opaque to callers. */
export function etagOf(version: number): string {
  return `v${version}`;
}

/** The version that an etag made by etagOf stands for. */
export function versionOf(etag: string): number {
  return Number(etag.slice(1));
}

export interface EtagCheck {
  /** For people, for example "task". */
  readonly kind: string;
  readonly id: string;
  /** What the caller read; empty if the caller does not mind. */
  readonly given: string;
  readonly stored: string;
}

/** Throws ETAG_MISMATCH if someone else's edit came in between. */
export function checkEtag({ kind, id, given, stored }: EtagCheck): void {
  if (given !== "" && given !== stored) {
    throw new DomainError("ETAG_MISMATCH", { kind, id, etag: stored });
  }
}
