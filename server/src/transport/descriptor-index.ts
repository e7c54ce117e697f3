import {
  type DescEnum,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/** Finds the files that define things, among the given ones and all that they import. */
export class DescriptorIndex {
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  /** By the type that is extended, then by field number. */
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  constructor(roots: readonly DescFile[]) {
    for (const root of roots) this.#addFile(root);
  }

  fileByName(name: string): DescFile | undefined {
    return this.#files.get(name);
  }

  /** The file of a message, field, oneof, enum, enum value, extension, service or method, by full name. */
  fileBySymbol(symbol: string): DescFile | undefined {
    return this.#symbols.get(symbol);
  }

  fileByExtension(extendee: string, number: number): DescFile | undefined {
    return this.#extensions.get(extendee)?.get(number);
  }

  /** The numbers of the known extensions of a message, or undefined if there is no such message. */
  extensionNumbers(extendee: string): readonly number[] | undefined {
    const numbers = this.#extensions.get(extendee);
    if (numbers !== undefined) return [...numbers.keys()];
    return this.#symbols.has(extendee) ? [] : undefined;
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const message of file.messages) this.#addMessage(message);
    for (const enumeration of file.enums) this.#addEnum(enumeration);
    for (const service of file.services) this.#addService(service);
    for (const extension of file.extensions) this.#addExtension(extension);
    for (const dependency of file.dependencies) this.#addFile(dependency);
  }

  #addMessage(message: DescMessage): void {
    const { file, typeName } = message;
    const members = [...message.fields, ...message.oneofs].map(({ name }) => `${typeName}.${name}`);
    for (const symbol of [typeName, ...members]) this.#symbols.set(symbol, file);
    for (const nested of message.nestedMessages) this.#addMessage(nested);
    for (const nested of message.nestedEnums) this.#addEnum(nested);
    for (const nested of message.nestedExtensions) this.#addExtension(nested);
  }

  #addEnum({ file, typeName, values }: DescEnum): void {
    // The values of an enum are named beside it, not inside it.
    const scope = typeName.slice(0, typeName.lastIndexOf(".") + 1);
    for (const symbol of [typeName, ...values.map(({ name }) => scope + name)]) this.#symbols.set(symbol, file);
  }

  #addService({ file, typeName, methods }: DescService): void {
    for (const symbol of [typeName, ...methods.map(({ name }) => `${typeName}.${name}`)])
      this.#symbols.set(symbol, file);
  }

  #addExtension({ file, typeName, extendee, number }: DescExtension): void {
    this.#symbols.set(typeName, file);
    const numbers = this.#extensions.get(extendee.typeName) ?? new Map<number, DescFile>();
    this.#extensions.set(extendee.typeName, numbers.set(number, file));
  }
}

/** A file's descriptor and those of all that it imports, encoded; those in `sent` are left out and the rest is added. */
export function encodeWithImports(file: DescFile, sent: Set<string>): Uint8Array[] {
  if (sent.has(file.proto.name)) return [];
  sent.add(file.proto.name);
  const imports = file.dependencies.flatMap((dependency) => encodeWithImports(dependency, sent));
  return [toBinary(FileDescriptorProtoSchema, file.proto), ...imports];
}
