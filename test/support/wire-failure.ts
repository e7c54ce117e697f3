import {
  type BadRequest_FieldViolation,
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
} from "@agent-manager/sdk/proto";
import { Code, ConnectError } from "@connectrpc/connect";

/** What the wire said of a call that failed. */
export interface WireFailure {
  /** The code's name, for example "NotFound". */
  readonly code: string;
  /** Of google.rpc.ErrorInfo; empty if there is none. */
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Of google.rpc.BadRequest. */
  readonly fields: readonly string[];
  /** The subjects of google.rpc.PreconditionFailure. */
  readonly subjects: readonly string[];
}

/** How a call fails; throws if it succeeds. */
export async function failureOf(call: Promise<unknown>): Promise<WireFailure> {
  const answer = await call.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!("error" in answer)) throw new Error("the call succeeded");
  return describeFailure(answer.error);
}

/** What is in an error of any of Connect's transports. */
export function describeFailure(reason: unknown): WireFailure {
  const error = ConnectError.from(reason);
  const [info] = error.findDetails(ErrorInfoSchema);
  const violations: readonly BadRequest_FieldViolation[] = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations);
  return {
    code: Code[error.code] ?? "",
    reason: info?.reason ?? "",
    message: error.rawMessage,
    metadata: info?.metadata ?? {},
    fields: violations.map(({ field }) => field),
    subjects: error.findDetails(PreconditionFailureSchema).flatMap((detail) => detail.violations.map((v) => v.subject)),
  };
}
