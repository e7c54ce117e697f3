import type { DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Interceptor } from "@connectrpc/connect";
import { invalidRequest } from "../domain/errors.js";

// Postgres holds neither in text nor in jsonb; a JSON client can send both.
const UNSTORABLE = /\0|\p{Surrogate}/u;

/** Refuses every request with a text that cannot be stored, before any service sees it. */
export const refuseUnstorableText: Interceptor = (next) => (request) => {
  const { input } = request.method;
  if (request.stream) return next({ ...request, message: checkEach(input, request.message) });
  checkStorableText(input, request.message);
  return next(request);
};

async function* checkEach<Desc extends DescMessage>(
  schema: Desc,
  messages: AsyncIterable<MessageShape<Desc>>,
): AsyncGenerator<MessageShape<Desc>> {
  for await (const message of messages) {
    checkStorableText(schema, message);
    yield message;
  }
}

/** Throws INVALID_REQUEST, naming the field, if a text anywhere in the request cannot be stored. */
export function checkStorableText<Desc extends DescMessage>(schema: Desc, request: MessageShape<Desc>): void {
  const path = findUnstorable(reflect(schema, request), "");
  if (path !== undefined) {
    throw invalidRequest({ field: path, description: "must not contain U+0000 or half of a surrogate pair" });
  }
}

function findUnstorable(message: ReflectMessage, prefix: string): string | undefined {
  for (const field of message.fields) {
    if (message.isSet(field)) {
      const path = prefix === "" ? field.name : `${prefix}.${field.name}`;
      const found = findInField(message, field, path);
      if (found !== undefined) {
        return found;
      }
    }
  }
  return undefined;
}

function findInField(message: ReflectMessage, field: DescField, path: string): string | undefined {
  switch (field.fieldKind) {
    case "scalar":
    case "enum":
      return findInValue(message.get(field), path);
    case "message":
      return findUnstorable(message.get(field), path);
    case "list":
      return firstFound([...message.get(field)].map((value, index) => findInValue(value, `${path}[${index}]`)));
    case "map":
      return firstFound(
        [...message.get(field)].map(
          ([key, value]) => findInValue(key, path) ?? findInValue(value, `${path}["${key}"]`),
        ),
      );
    default:
      return field satisfies never;
  }
}

function findInValue(value: unknown, path: string): string | undefined {
  if (typeof value === "string") {
    return UNSTORABLE.test(value) ? path : undefined;
  }
  return isReflectMessage(value) ? findUnstorable(value, path) : undefined;
}

function firstFound(paths: readonly (string | undefined)[]): string | undefined {
  return paths.find((path) => path !== undefined);
}
