// Prints buf/validate/validate.proto from the descriptor that @bufbuild/protovalidate carries, without
// options: buf's module registry cannot be reached when the code is generated, and the package holds no
// .proto text. Run again after an upgrade of protovalidate:
//   node scripts/print-validate-proto.mjs > proto/vendor/buf/validate/validate.proto

import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type } from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

const file = file_buf_validate_validate.proto;
const lines = [];
const put = (depth, text) => lines.push("  ".repeat(depth) + text);
const labels = { [Label.OPTIONAL]: "optional ", [Label.REPEATED]: "repeated ", [Label.REQUIRED]: "required " };
const typeName = (field) => field.typeName || Type[field.type].toLowerCase();

function printField(field, depth, inOneof) {
  put(depth, `${inOneof ? "" : labels[field.label]}${typeName(field)} ${field.name} = ${field.number};`);
}

function printEnum(descriptor, depth) {
  put(depth, `enum ${descriptor.name} {`);
  for (const value of descriptor.value) put(depth + 1, `${value.name} = ${value.number};`);
  for (const range of descriptor.reservedRange) put(depth + 1, `reserved ${range.start};`);
  put(depth, "}");
}

function printExtensions(extensions, depth) {
  for (const extension of extensions) {
    put(depth, `extend ${extension.extendee} {`);
    printField(extension, depth + 1, false);
    put(depth, "}");
  }
}

function printMessage(message, depth) {
  put(depth, `message ${message.name} {`);
  for (const nested of message.enumType) printEnum(nested, depth + 1);
  for (const nested of message.nestedType) printMessage(nested, depth + 1);
  message.oneofDecl.forEach((oneof, index) => {
    put(depth + 1, `oneof ${oneof.name} {`);
    for (const field of message.field)
      if (inOneof(field) && field.oneofIndex === index) printField(field, depth + 2, true);
    put(depth + 1, "}");
  });
  for (const field of message.field) if (!inOneof(field)) printField(field, depth + 1, false);
  for (const range of message.extensionRange)
    put(depth + 1, `extensions ${range.start} to ${range.end > 536870911 ? "max" : range.end - 1};`);
  put(depth, "}");
}

const inOneof = (field) => Object.hasOwn(field, "oneofIndex") && !field.proto3Optional;

put(0, `// Printed by scripts/print-validate-proto.mjs from @bufbuild/protovalidate (Apache-2.0, Buf Technologies).`);
put(0, `syntax = "proto2";`);
put(0, `package ${file.package};`);
for (const dependency of file.dependency) put(0, `import "${dependency}";`);
for (const descriptor of file.enumType) printEnum(descriptor, 0);
for (const message of file.messageType) printMessage(message, 0);
printExtensions(file.extension, 0);
process.stdout.write(`${lines.join("\n")}\n`);
