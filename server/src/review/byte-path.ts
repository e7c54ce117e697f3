/**
 * A path relative to the project's root, its bytes as latin1 text: one character per byte. File names need not be
 * UTF-8, and plain string comparison then is git's order, byte by byte.
 */
export type BytePath = string;

export function toBytes(path: BytePath): Buffer {
  return Buffer.from(path, "latin1");
}

/** For people and for the API; bytes that are not UTF-8 become U+FFFD. */
export function toText(path: BytePath): string {
  return toBytes(path).toString("utf8");
}

export function byPath(a: { readonly path: BytePath }, b: { readonly path: BytePath }): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}

/** "a/b/c" gives "a" and "a/b". */
export function parentsOf(path: BytePath): readonly BytePath[] {
  const parents: BytePath[] = [];
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) parents.push(path.slice(0, at));
  return parents;
}
