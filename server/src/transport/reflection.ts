import { file_agent_manager_v1_error_reason, file_google_rpc_error_details } from "@agent-manager/sdk/proto";
import { ServerReflectionV1, ServerReflectionV1Alpha } from "@agent-manager/sdk/reflection";
import type { DescFile } from "@bufbuild/protobuf";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { DescriptorIndex, encodeWithImports } from "./descriptor-index.js";
import { servedServices } from "./served-services.js";

/** Serves gRPC server reflection, v1 and v1alpha, from the generated descriptors, so that grpcurl needs no files. */
export function registerReflection(router: ConnectRouter): void {
  router.service(ServerReflectionV1, { serverReflectionInfo: (requests) => answerAll(requests) });
  router.service(ServerReflectionV1Alpha, { serverReflectionInfo: (requests) => answerAll(requests) });
}

// The details of errors are in no service's imports; tools need them to show an error in words.
const index = new DescriptorIndex([
  ...servedServices.map(({ file }) => file),
  file_google_rpc_error_details,
  file_agent_manager_v1_error_reason,
]);

/** What both versions of the protocol ask; they differ in their package only. */
type Question =
  | { readonly case: "fileByFilename" | "fileContainingSymbol"; readonly value: string }
  | {
      readonly case: "fileContainingExtension";
      readonly value: { readonly containingType: string; readonly extensionNumber: number };
    }
  | { readonly case: "allExtensionNumbersOfType" | "listServices"; readonly value: string }
  | { readonly case: undefined; readonly value?: undefined };

async function* answerAll<Request extends { readonly host: string; readonly messageRequest: Question }>(
  requests: AsyncIterable<Request>,
) {
  // Each file travels once per stream, as the protocol allows.
  const sent = new Set<string>();
  for await (const originalRequest of requests) {
    const messageResponse = answer(originalRequest.messageRequest, sent);
    yield { validHost: originalRequest.host, originalRequest, messageResponse };
  }
}

function answer(question: Question, sent: Set<string>) {
  switch (question.case) {
    case "listServices":
      return listed();
    case "fileByFilename":
      return files(index.fileByName(question.value), question.value, sent);
    case "fileContainingSymbol":
      return files(index.fileBySymbol(question.value), question.value, sent);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      return files(
        index.fileByExtension(containingType, extensionNumber),
        `${containingType} ${extensionNumber}`,
        sent,
      );
    }
    case "allExtensionNumbersOfType":
      return extensionNumbers(question.value);
    case undefined:
      return failed(Code.InvalidArgument, "the request asks for nothing");
    default:
      return question satisfies never;
  }
}

function listed() {
  const service = servedServices.map(({ typeName }) => ({ name: typeName }));
  return { case: "listServicesResponse" as const, value: { service } };
}

function files(file: DescFile | undefined, what: string, sent: Set<string>) {
  if (file === undefined) return notFound(what);
  // Asked for by name again, a file is sent again: only its imports are known to have arrived.
  sent.delete(file.proto.name);
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto: encodeWithImports(file, sent) } };
}

function extensionNumbers(baseTypeName: string) {
  const extensionNumber = index.extensionNumbers(baseTypeName);
  if (extensionNumber === undefined) return notFound(baseTypeName);
  return {
    case: "allExtensionNumbersResponse" as const,
    value: { baseTypeName, extensionNumber: [...extensionNumber] },
  };
}

function notFound(what: string) {
  return failed(Code.NotFound, `${what} is not known to this server`);
}

function failed(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}
