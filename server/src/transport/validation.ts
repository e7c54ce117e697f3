import { create, type DescService } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { createValidateInterceptor } from "@connectrpc/validate";

// One for the process: it keeps the compiled rules of each message type.
const validator = createValidator();

/** Refuses requests that break the rules written in the proto files. */
export function validationInterceptor(): Interceptor {
  return createValidateInterceptor({ validator });
}

/** Compiles the rules of the services' requests, one message per turn of the event loop; some 0.2 s in all, once. */
export async function warmValidation(services: readonly DescService[]): Promise<void> {
  for (const { input } of services.flatMap(({ methods }) => methods)) {
    await new Promise((resolve) => setImmediate(resolve));
    validator.validate(input, create(input));
  }
}
