import { createHash } from "node:crypto";
import { canonicalJson } from "../domain/canonical-json.js";
import { DomainError } from "../domain/errors.js";
import { isId } from "../domain/ids.js";

/** What a list request says about its page. */
export interface PageRequest {
  /** 0 is taken as 50, more than 500 as 500. */
  readonly pageSize: number;
  /** Empty for the first page. */
  readonly pageToken: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** One page of a list that goes newest first by a UUIDv7 id. */
export interface PageCursor {
  /** The page holds rows with smaller ids than this; undefined for the first page. */
  readonly before: string | undefined;
  /** How many rows to read: one more than the page holds, to know whether there is another page. */
  readonly limit: number;
  /** Makes the page of what was read. */
  pageOf<T>(rows: readonly T[], idOf: (row: T) => string): Page<T>;
}

export interface PageOptions extends PageRequest {
  /** Names the list; a token of another list is refused. */
  readonly list: string;
  /** What the list is filtered by; a token made with other filters is refused. */
  readonly filters?: unknown;
}

const DEFAULT_SIZE = 50;
const LARGEST_SIZE = 500;
const TOKEN = /^1\.([0-9a-f]{32})\.(.{36})$/;

/** Reads the request's token and throws PAGE_TOKEN_INVALID if it is not one of this list. */
export function openPage(options: PageOptions): PageCursor {
  const size = Math.min(options.pageSize === 0 ? DEFAULT_SIZE : options.pageSize, LARGEST_SIZE);
  const scope = scopeOf(options);
  return {
    before: options.pageToken === "" ? undefined : readToken(options.pageToken, scope),
    limit: size + 1,
    pageOf: (rows, idOf) => {
      const items = rows.slice(0, size);
      const last = items.at(-1);
      return { items, nextPageToken: last === undefined || rows.length <= size ? "" : makeToken(scope, idOf(last)) };
    },
  };
}

function scopeOf({ list, filters }: PageOptions): string {
  return createHash("sha256")
    .update(canonicalJson([list, filters ?? null]))
    .digest("hex")
    .slice(0, 32);
}

function makeToken(scope: string, id: string): string {
  return Buffer.from(`1.${scope}.${id}`).toString("base64url");
}

function readToken(token: string, scope: string): string {
  const [, tokenScope, id = ""] = TOKEN.exec(Buffer.from(token, "base64url").toString("latin1")) ?? [];
  // decoding base64 is lenient; making it again is not
  if (tokenScope !== scope || !isId(id) || makeToken(scope, id) !== token) {
    throw new DomainError("PAGE_TOKEN_INVALID");
  }
  return id;
}
