/** Shorter values would cut ordinary words out of the agent's output. */
const MIN_SECRET_LENGTH = 6;

/**
 * Replaces secrets by `[redacted:NAME]`, also in the forms in which they turn up in output: base64, as a URL
 * component, escaped in JSON. It sees one piece at a time; the line splitter never cuts one within a secret.
 */
export class Redactor {
  readonly #needles: readonly { readonly needle: Buffer; readonly label: Buffer }[];
  /** Length of the longest form of a secret in bytes. */
  readonly longestBytes: number;

  constructor(secrets: Readonly<Record<string, string>>) {
    this.#needles = Object.entries(secrets)
      .filter(([, value]) => value.length >= MIN_SECRET_LENGTH)
      .flatMap(([name, value]) =>
        secretForms(value).map((form) => ({ needle: Buffer.from(form), label: Buffer.from(`[redacted:${name}]`) })),
      )
      .sort((a, b) => b.needle.length - a.needle.length);
    this.longestBytes = this.#needles[0]?.needle.length ?? 0;
  }

  redact(bytes: Buffer): Buffer {
    return this.#needles.reduce((text, { needle, label }) => replaceAll(text, needle, label), bytes);
  }
}

function secretForms(value: string): readonly string[] {
  const base64 = Buffer.from(value).toString("base64");
  const forms = [
    value,
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    base64,
    base64.replace(/=+$/, ""),
  ];
  return [...new Set(forms)];
}

function replaceAll(bytes: Buffer, needle: Buffer, label: Buffer): Buffer {
  let at = bytes.indexOf(needle);
  if (at === -1) return bytes;
  const parts: Buffer[] = [];
  let start = 0;
  for (; at !== -1; at = bytes.indexOf(needle, start)) {
    parts.push(bytes.subarray(start, at), label);
    start = at + needle.length;
  }
  parts.push(bytes.subarray(start));
  return Buffer.concat(parts);
}
