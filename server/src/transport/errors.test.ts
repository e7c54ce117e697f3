import {
  BadRequestSchema,
  CreateTaskRequestSchema,
  ErrorInfoSchema,
  ErrorReason,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { DomainError, type Reason } from "../domain/errors.js";
import { errorCatalogue } from "./error-catalogue.js";
import { errorText } from "./error-text.js";
import { toConnectError } from "./errors.js";

const silent = pino({ level: "silent" });
// A numeric enum also maps its numbers back to names.
const reasons = Object.keys(ErrorReason).filter((name): name is Reason => !/^(\d+|UNSPECIFIED)$/.test(name));

describe("the catalogue", () => {
  test.each(reasons)("has a text for %s that reads well without values", (reason) => {
    const text = errorText(errorCatalogue[reason], {});
    expect(text).toMatch(/^[a-z'][^{}[\]|]+; [a-z][^{}[\]|]+[^.]$/);
    expect(text).not.toMatch(/ {2}| [,;:.)]|\( *\)|undefined/);
  });

  test.each(reasons)("shows each value of %s that it names, when only that part is known", (reason) => {
    const { sentence, remedy } = errorCatalogue[reason];
    for (const [, part = ""] of `${sentence}${remedy}`.matchAll(/([^[\]|]*\{\w+\}[^[\]|]*)/g)) {
      const names = [...part.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
      const text = errorText(errorCatalogue[reason], Object.fromEntries(names.map((name) => [name, `<${name}>`])));
      expect(text).toContain(part.replace(/\{(\w+)\}/g, "<$1>"));
    }
  });

  test("no value stands outside brackets: the text must read well without it", () => {
    for (const { sentence, remedy } of Object.values(errorCatalogue)) {
      expect(`${sentence}${remedy}`.replace(/\[[^\]]*\]/g, "")).not.toMatch(/[{}]/);
    }
  });

  test("brackets and braces in a value stay as they are", () => {
    const text = errorText(errorCatalogue.RUN_NOT_FOUND, { run_id: "[{run_id}|x]" });
    expect(text).toBe("run [{run_id}|x] does not exist; list the runs with ListRuns");
  });
});

describe("a domain error", () => {
  test("carries its reason, values, fields, preconditions and delay", () => {
    const error = toConnectError(
      new DomainError(
        "APPLY_CONFLICT",
        { run_id: "r1", files: "src/a.ts" },
        {
          fields: [{ field: "selection.files", description: "gone" }],
          preconditions: [{ type: "CONTENT", subject: "src/a.ts", description: "changed on both sides" }],
          retryAfterMs: 250,
        },
      ),
      silent,
    );
    expect(error).toMatchObject({ code: Code.FailedPrecondition });
    expect(error.rawMessage).toMatch(
      /^the changes of run r1 cannot be applied: the project has moved under selected files: src\/a.ts; /,
    );
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "APPLY_CONFLICT", domain: "agent-manager", metadata: { run_id: "r1", files: "src/a.ts" } },
    ]);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([{ field: "selection.files" }]);
    expect(error.findDetails(PreconditionFailureSchema)[0]?.violations).toMatchObject([{ subject: "src/a.ts" }]);
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({ seconds: 0n, nanos: 250_000_000 });
  });

  test("fits into the trailers that clients accept, however much it says", () => {
    const preconditions = Array.from({ length: 5_000 }, (_, n) => ({
      type: "CONTENT",
      subject: `${n}/${"p".repeat(4_000)}`,
      description: "d",
    }));
    const fields = preconditions.map(({ subject: field, description }) => ({ field, description }));
    const values = { run_id: "r".repeat(100_000), files: "f".repeat(100_000) };
    const trailer = new Headers();
    setTrailerStatus(
      trailer,
      toConnectError(new DomainError("APPLY_CONFLICT", values, { preconditions, fields }), silent),
    );
    expect([...trailer].join("").length).toBeLessThan(8_000);
    expect(trailer.get("grpc-status-details-bin")).not.toBeNull();
  });
});

describe("a failure from outside", () => {
  test.each([
    ["a refused connection", coded("ECONNREFUSED")],
    ["a missing socket", Object.assign(coded("ENOENT"), { syscall: "connect" })],
    ["every address refused", new AggregateError([coded("ECONNREFUSED"), coded("ECONNREFUSED")])],
    ["a server that shuts down", coded("57P01")],
    ["a broken connection", coded("08006")],
    ["too many connections", coded("53300")],
    ["a connection cut by pg", new Error("Connection terminated unexpectedly")],
  ])("of the database is worth trying again: %s", (_what, failure) => {
    const error = toConnectError(failure, silent);
    expect(error.code).toBe(Code.Unavailable);
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("DATABASE_UNAVAILABLE");
    expect(error.findDetails(RetryInfoSchema)).toHaveLength(1);
  });

  test.each(["ENOSPC", "53100"])("of the disk is DISK_FULL: %s", (code) => {
    expect(reasonOf(toConnectError(coded(code), silent))).toBe("DISK_FULL");
  });

  test.each([
    ["a missing file", Object.assign(coded("ENOENT"), { syscall: "open" })],
    ["a unique violation", coded("23505")],
    ["another service that is down", new TypeError("fetch failed", { cause: coded("ECONNREFUSED") })],
    ["a bug", new TypeError("x is not a function at /srv/secret")],
    ["something that is no error", "secret"],
    ["a ConnectError that says too much", new ConnectError("secret", Code.Internal)],
  ])("is internal, and silent, if it is %s", (_what, failure) => {
    const error = toConnectError(failure, silent);
    expect(reasonOf(error)).toBe("INTERNAL");
    expect(JSON.stringify(errorToJson(error, undefined))).not.toContain("secret");
  });
});

describe("an error of Connect", () => {
  test("about a rule of the proto files names the fields", () => {
    const { error } = createValidator().validate(CreateTaskRequestSchema, create(CreateTaskRequestSchema));
    const converted = toConnectError(new ConnectError("x", Code.InvalidArgument, undefined, undefined, error), silent);
    expect(reasonOf(converted)).toBe("INVALID_REQUEST");
    expect(converted.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([{ field: "task" }]);
  });

  test.each([Code.Canceled, Code.DeadlineExceeded, Code.InvalidArgument])("passes as it is: code %i", (code) => {
    const error = new ConnectError("x", code);
    expect(toConnectError(error, silent)).toBe(error);
  });

  test("that has a reason keeps it", () => {
    const error = toConnectError(new DomainError("INTERNAL", { error_id: "1" }), silent);
    expect(toConnectError(error, silent)).toBe(error);
  });
});

function coded(code: string): Error {
  return Object.assign(new Error(`secret ${code}`), { code });
}

function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}
