import type { CatalogueEntry } from "./error-catalogue.js";

type Values = Readonly<Record<string, string>>;

/** A value is shown up to this length: errors travel in HTTP trailers, which clients limit to some 8 KiB. */
const longestValue = 256;

/** Says an error in words: what, which; what now. */
export function errorText(entry: CatalogueEntry, values: Values): string {
  return `${fill(entry.sentence, values)}; ${fill(entry.remedy, values)}`;
}

/** Shortens a text to what an error can carry. */
export function shorten(text: string, longest = longestValue): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 1)}…`;
}

// One pass over the template, so that brackets and braces inside values stay what they are.
function fill(template: string, values: Values): string {
  return template.replace(/\[([^\]]*)\]/g, (_, parts: string) => {
    const known = parts.split("|").find((part) => hasAll(part, values));
    return known === undefined ? "" : put(known, values);
  });
}

function hasAll(text: string, values: Values): boolean {
  return [...text.matchAll(/\{(\w+)\}/g)].every(([, name = ""]) => Boolean(values[name]));
}

function put(text: string, values: Values): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => shorten(values[name] ?? ""));
}
