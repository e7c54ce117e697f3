import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "@agent-manager/sdk/proto";
import type { ConnectError } from "@connectrpc/connect";
import type { DomainError, DomainErrorDetails } from "../domain/errors.js";
import { shorten } from "./error-text.js";

type Detail = Extract<ConnectError["details"][number], { desc: unknown }>;

/** The domain of every google.rpc.ErrorInfo of this service. */
export const errorDomain = "agent-manager";

// Details travel base64-encoded in one trailer, and clients refuse trailers beyond some 8 KiB: a list
// keeps its first items, up to this many characters.
const listBudget = 1_500;

/** The google.rpc details of an error. */
export function errorDetails({ reason, values, details }: DomainError): Detail[] {
  return [
    { desc: ErrorInfoSchema, value: { reason, domain: errorDomain, metadata: shortened(values) } },
    ...fieldDetails(details),
    ...preconditionDetails(details),
    ...retryDetails(details),
  ];
}

function fieldDetails({ fields = [] }: DomainErrorDetails): Detail[] {
  if (fields.length === 0) return [];
  return [{ desc: BadRequestSchema, value: { fieldViolations: fitting(fields) } }];
}

function preconditionDetails({ preconditions = [] }: DomainErrorDetails): Detail[] {
  if (preconditions.length === 0) return [];
  return [{ desc: PreconditionFailureSchema, value: { violations: fitting(preconditions) } }];
}

function retryDetails({ retryAfterMs }: DomainErrorDetails): Detail[] {
  if (retryAfterMs === undefined) return [];
  const seconds = Math.floor(retryAfterMs / 1000);
  const nanos = Math.round((retryAfterMs - seconds * 1000) * 1e6);
  return [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(seconds), nanos } } }];
}

function shortened<T extends object>(texts: T): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, shorten(String(text))]));
}

/** As many items from the first as the budget allows, at least one. */
function fitting<T extends object>(items: readonly T[]): Record<string, string>[] {
  let left = listBudget;
  return items.map(shortened).filter((item, index) => {
    left -= Object.values(item).join("").length;
    return index === 0 || left >= 0;
  });
}
