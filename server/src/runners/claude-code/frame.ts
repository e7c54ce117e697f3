/** A JSON object that the program wrote; nothing about its shape is taken for granted. */
export type Json = Readonly<Record<string, unknown>>;

/** One line of the program's standard output. */
export type Line =
  /** Not a JSON object: a line of some log, and be it empty. */
  { readonly kind: "log" } | { readonly kind: "frame"; readonly frame: Frame };

export interface Frame {
  /** Its type, with the subtype after a slash where there is one: "system/init", "result/success". */
  readonly type: string;
  readonly json: Json;
  /** The line as it came, without what is not UTF-8. */
  readonly raw: string;
}

const decoder = new TextDecoder();

export function readLine(bytes: Uint8Array): Line {
  const raw = decoder.decode(bytes);
  try {
    const json = asObject(JSON.parse(raw));
    return json === undefined ? { kind: "log" } : { kind: "frame", frame: { type: typeOf(json), json, raw } };
  } catch {
    return { kind: "log" };
  }
}

function typeOf(json: Json): string {
  const type = text(json, "type") || "untyped";
  const subtype = text(json, "subtype");
  return (subtype === "" ? type : `${type}/${subtype}`).slice(0, 200);
}

export function asObject(value: unknown): Json | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  // A non-null object that is no array is readable by string keys.
  return value as Json;
}

export function object(json: Json | undefined, key: string): Json | undefined {
  return asObject(json?.[key]);
}

export function objects(json: Json | undefined, key: string): readonly Json[] {
  const value = json?.[key];
  return Array.isArray(value) ? value.map(asObject).filter((item) => item !== undefined) : [];
}

export function text(json: Json | undefined, key: string): string {
  const value = json?.[key];
  return typeof value === "string" ? value : "";
}

export function texts(json: Json | undefined, key: string): readonly string[] {
  const value = json?.[key];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
}

export function number(json: Json | undefined, key: string): number {
  const value = json?.[key];
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/** A count as the uint32 fields of the API take it: whole and in range. */
export function uint32(json: Json | undefined, key: string): number {
  return Math.min(Math.max(Math.round(number(json, key)), 0), 0xffff_ffff);
}

/** A count as the int64 fields of the API take it. */
export function count(json: Json | undefined, key: string): bigint {
  return BigInt(Math.min(Math.max(Math.round(number(json, key)), 0), Number.MAX_SAFE_INTEGER));
}

/** The value as JSON text; empty if there is none, or if it is nested too deeply to be written again. */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return "";
  }
}
