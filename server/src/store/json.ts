import type { DescMessage, JsonValue, MessageShape } from "@bufbuild/protobuf";
import { fromJson, toJson } from "@bufbuild/protobuf";

/** Reads a message from a jsonb column; fields that a newer version wrote are left out. */
export function messageFromJson<Desc extends DescMessage>(schema: Desc, column: unknown): MessageShape<Desc> {
  return fromJson(schema, asJson(column), { ignoreUnknownFields: true });
}

/** JSON text of repeated messages. */
export function messagesToJson<Desc extends DescMessage>(
  schema: Desc,
  messages: readonly MessageShape<Desc>[],
): string {
  return JSON.stringify(messages.map((message) => toJson(schema, message)));
}

/** Reads repeated messages from a jsonb column. */
export function messagesFromJson<Desc extends DescMessage>(schema: Desc, column: unknown): MessageShape<Desc>[] {
  return Array.isArray(column) ? column.map((entry: unknown) => messageFromJson(schema, entry)) : [];
}

/** Reads a list of strings from a jsonb column. */
export function stringsFromJson(column: unknown): string[] {
  return Array.isArray(column) ? column.map(String) : [];
}

/** Reads a map of strings, such as labels, from a jsonb column. */
export function stringMapFromJson(column: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(column ?? {}).map(([key, value]) => [key, String(value)]));
}

function asJson(column: unknown): JsonValue {
  // the driver makes jsonb columns with JSON.parse, which gives nothing else
  return column as JsonValue;
}
