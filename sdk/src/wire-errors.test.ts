import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  AgentManagerError,
  FailedPreconditionError,
  InternalError,
  isReason,
  NotFoundError,
  UnavailableError,
} from "./errors.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { fromWire } from "./wire-errors.js";

function info(reason: string, metadata: Record<string, string> = {}) {
  return { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "agent-manager", metadata }) };
}

test("an error of the service keeps its code, reason, values and sentence", () => {
  const error = fromWire(
    new ConnectError("there is no run 7", Code.NotFound, undefined, [info("RUN_NOT_FOUND", { run_id: "7" })]),
  );
  expect(error).toBeInstanceOf(NotFoundError);
  expect(error).toMatchObject({ message: "there is no run 7", code: Code.NotFound, metadata: { run_id: "7" } });
  expect(isReason(error, "RUN_NOT_FOUND")).toBe(true);
  expect(isReason(error, "TASK_NOT_FOUND")).toBe(false);
  expect(isReason(new Error("RUN_NOT_FOUND"), "RUN_NOT_FOUND")).toBe(false);
});

test("field violations, preconditions and the retry delay are read from the details", () => {
  const error = fromWire(
    new ConnectError("no", Code.FailedPrecondition, undefined, [
      info("APPLY_CONFLICT"),
      {
        desc: BadRequestSchema,
        value: create(BadRequestSchema, { fieldViolations: [{ field: "a.b", description: "bad" }] }),
      },
      {
        desc: PreconditionFailureSchema,
        value: create(PreconditionFailureSchema, {
          violations: [{ type: "CONTENT", subject: "src/a.ts", description: "moved" }],
        }),
      },
      { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay: { seconds: 1n, nanos: 500_000_000 } }) },
    ]),
  );
  expect(error).toBeInstanceOf(FailedPreconditionError);
  expect(error.fieldViolations).toMatchObject([{ field: "a.b", description: "bad" }]);
  expect(error.preconditions).toMatchObject([{ type: "CONTENT", subject: "src/a.ts", description: "moved" }]);
  expect(error.retryAfterMs).toBe(1500);
});

test.each([Code.Unavailable, Code.Aborted, Code.Internal, Code.Unknown, Code.Canceled])(
  "a transport's own error with code %i is a lost connection",
  (code) => {
    const error = fromWire(new ConnectError("ECONNRESET", code));
    expect(error).toBeInstanceOf(UnavailableError);
    expect(error.reason).toBe("");
  },
);

test("an internal error of the service is not taken for a lost connection", () => {
  expect(fromWire(new ConnectError("oops", Code.Internal, undefined, [info("INTERNAL")]))).toBeInstanceOf(
    InternalError,
  );
});

test("an error of the SDK passes unchanged", () => {
  const error = new AgentManagerError("x", { code: Code.DataLoss });
  expect(fromWire(error)).toBe(error);
});
