import { clone, type DescField, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { FieldMask } from "@bufbuild/protobuf/wkt";
import { DomainError } from "../domain/errors.js";

export interface FieldMaskOptions<Desc extends DescMessage> {
  readonly schema: Desc;
  readonly stored: MessageShape<Desc>;
  readonly given: MessageShape<Desc>;
  /** Unset or empty: every mutable field. */
  readonly mask: FieldMask | undefined;
  /** Proto names of the fields that can be changed. */
  readonly mutable: readonly string[];
  /** Those of them whose own fields can be named too, as "config.runner". */
  readonly nested?: readonly string[];
}

/** The stored message with the masked fields of the given one. Throws UPDATE_MASK_INVALID for any other path. */
export function applyFieldMask<Desc extends DescMessage>(options: FieldMaskOptions<Desc>): MessageShape<Desc> {
  const { schema, mask, mutable } = options;
  const result = clone(schema, options.stored);
  const target = reflect(schema, result);
  const source = reflect(schema, options.given);
  for (const path of mask?.paths.length ? mask.paths : mutable) {
    const { field, subfield } = resolvePath(path, options);
    if (subfield === undefined) {
      copyField(source, target, field);
    } else {
      copySubfield(source, target, { field, subfield });
    }
  }
  return result;
}

interface MaskedField {
  readonly field: DescField;
  readonly subfield: DescField | undefined;
}

function resolvePath(
  path: string,
  options: Pick<FieldMaskOptions<DescMessage>, "schema" | "mutable" | "nested">,
): MaskedField {
  const { schema, mutable, nested = [] } = options;
  const [name = "", subname, ...rest] = path.split(".");
  const field = mutable.includes(name) ? findField(schema, name) : undefined;
  if (field !== undefined && subname === undefined) {
    return { field, subfield: undefined };
  }
  const subfield =
    nested.includes(name) && subname !== undefined && field?.fieldKind === "message"
      ? findField(field.message, subname)
      : undefined;
  if (field === undefined || subfield === undefined || rest.length > 0) {
    const allowed = [...mutable, ...nested.map((parent) => `${parent}.<field>`)].join(", ");
    throw new DomainError("UPDATE_MASK_INVALID", { path, allowed });
  }
  return { field, subfield };
}

function findField(schema: DescMessage, name: string): DescField | undefined {
  return schema.fields.find((field) => field.name === name);
}

function copyField(source: ReflectMessage, target: ReflectMessage, field: DescField): void {
  if (source.isSet(field)) {
    target.set(field, source.get(field));
  } else {
    target.clear(field);
  }
}

function copySubfield(
  source: ReflectMessage,
  target: ReflectMessage,
  path: MaskedField & { subfield: DescField },
): void {
  const { field, subfield } = path;
  if (field.fieldKind === "message") {
    const inner = target.get(field);
    copyField(source.get(field), inner, subfield);
    target.set(field, inner); // get makes a new one where there was none
  }
}
