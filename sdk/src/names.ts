/** Says whether a text is a UUID, which is how ids are told from keys. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);
}

/** The update mask for the given changes: the paths asked for, or the fields that are there. */
export function maskOf(changes: object, paths?: readonly string[]): { paths: string[] } {
  const names = paths ?? Object.keys(changes);
  return { paths: names.map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)) };
}
