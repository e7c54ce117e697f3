const sequences =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  /\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|\x9b[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
/** Characters that make text look different from what it is. */
const disguises = /[\u202a-\u202e\u2066-\u2069]/g;

/**
 * Makes text of an agent safe to print: terminal sequences (titles, links, colours, cursor moves, clipboard) and control
 * characters but tab and newline go; characters that reorder text become visible.
 */
export function plainText(text: string): string {
  return text
    .replace(/\r\n/g, "\n")
    .replace(sequences, "")
    .replace(controls, "")
    .replace(disguises, (character) => `<U+${codePoint(character)}>`);
}

/**
 * Makes text to be reviewed safe to print without hiding anything of it: control characters become pictures (␛, ␍), and
 * characters that reorder text become visible.
 */
export function visibleText(text: string): string {
  return text
    .replace(controls, (character) => {
      const code = character.charCodeAt(0);
      return code < 0x20 ? String.fromCharCode(0x2400 + code) : `<${codePoint(character)}>`;
    })
    .replace(disguises, (character) => `<U+${codePoint(character)}>`);
}

/** Makes text of an agent safe to print in one line: what would break it becomes a space. */
export function plainLine(text: string): string {
  return plainText(text).replace(/\s+/g, " ").trim();
}

/** Escapes in JSON text what JSON allows but a terminal obeys. */
export function safeJson(json: string): string {
  return json.replace(/[\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (character) => `\\u${codePoint(character)}`);
}

/** Cuts text to a number of characters, saying so. */
export function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 1))}…`;
}

function codePoint(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(4, "0");
}
