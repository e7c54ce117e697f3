import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromJson,
  type JsonObject,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { bearer } from "./listener.js";
import { describeFailure, type WireFailure } from "./wire-failure.js";

/** Calls any method with a request in JSON and reads the answer to its end; undefined if it succeeds. */
export type SampleCaller = (method: DescMethod, request: JsonObject) => Promise<WireFailure | undefined>;

const TIMEOUT_MS = 5_000;
/** Some streams never end; what is wrong with a request shows at once. */
const STREAM_TIMEOUT_MS = 300;

/** Calls methods by their descriptors over gRPC. */
export function createSampleCaller(url: string, token: string): SampleCaller {
  const transport = createGrpcTransport({ baseUrl: url, interceptors: [bearer(token)] });
  return (method, request) => {
    const message = fromJson(method.input, request);
    const call = isUnary(method)
      ? transport.unary(method, undefined, TIMEOUT_MS, undefined, message)
      : readStream(transport, method, message);
    return call.then(() => undefined, describeFailure);
  };
}

async function readStream(transport: Transport, method: DescMethod, message: Message): Promise<void> {
  // every method that is not unary streams; the union of generated types does not say so
  const streaming = method as DescMethodStreaming;
  const answer = await transport.stream(streaming, undefined, STREAM_TIMEOUT_MS, undefined, once(message));
  for await (const _ of answer.message);
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}

/** Every way to put a text into a request of this type, one field each, as partial requests in JSON. */
export function placesForText(desc: DescMessage, text: string, depth = 0): readonly JsonObject[] {
  if (depth > 4 || desc.typeName.startsWith("google.protobuf.")) return [];
  return desc.fields.flatMap((field) => placesInField(field, text, depth).map((value) => ({ [field.name]: value })));
}

function placesInField(
  field: DescField,
  text: string,
  depth: number,
): readonly (string | JsonObject | JsonObject[] | string[])[] {
  switch (field.fieldKind) {
    case "scalar":
      return field.scalar === ScalarType.STRING ? [text] : [];
    case "message":
      return placesForText(field.message, text, depth + 1);
    case "list":
      if (field.listKind === "message") return placesForText(field.message, text, depth + 1).map((item) => [item]);
      return field.listKind === "scalar" && field.scalar === ScalarType.STRING ? [[text]] : [];
    case "map":
      return field.mapKind === "scalar" && field.scalar === ScalarType.STRING
        ? [{ key: text }, { [text]: "value" }]
        : [];
    case "enum":
      return [];
    default:
      return field satisfies never;
  }
}

/** A request with a part of it replaced; other members of a oneof make way. */
export function withPart(desc: DescMessage, request: JsonObject, part: JsonObject): JsonObject {
  const merged = { ...request };
  for (const field of desc.fields) {
    const value = part[field.name];
    if (value === undefined) continue;
    for (const other of field.oneof?.fields ?? []) if (other !== field) delete merged[other.name];
    const known = merged[field.name];
    merged[field.name] =
      field.fieldKind === "message" && isObject(known) && isObject(value)
        ? withPart(field.message, known, value)
        : value;
  }
  return merged;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
