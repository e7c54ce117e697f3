import { ErrorInfoSchema } from "@agent-manager/sdk/proto";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { refuseUnstorableText } from "../../server/src/services/storable-text.js";
import { errorInterceptor } from "../../server/src/transport/error-interceptor.js";
import { silent } from "./postgres-cluster.js";

/** A client that reaches a service through the true router and error catalogue, without a port. */
export function clientOf<T extends DescService>(service: T, implementation: Partial<ServiceImpl<T>>): Client<T> {
  const transport = createRouterTransport(({ service: register }) => register(service, implementation), {
    router: { interceptors: [errorInterceptor(silent), refuseUnstorableText] },
  });
  return createClient(service, transport);
}

/** The reason and values of the error that a call ends with; undefined if it succeeds. */
export async function refusalOf(call: Promise<unknown>): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
    return { reason: info?.reason ?? String(error), ...info?.metadata };
  }
}
