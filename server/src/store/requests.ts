import { createHash } from "node:crypto";
import type { DescMessage, DescMethod, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { canonicalJson } from "../domain/canonical-json.js";
import { DomainError } from "../domain/errors.js";
import type { Db, Tx } from "./schema.js";

export interface AnswerOnceOptions<I extends DescMessage, O extends DescMessage> {
  readonly db: Db;
  /** The method as generated, for example TaskService.method.createTask. */
  readonly method: DescMethodUnary<I, O>;
  readonly request: MessageShape<I> & { readonly requestId: string };
  /** Does the work, with the given transaction only: taking another connection can starve the pool. */
  readonly run: (tx: Tx) => Promise<MessageShape<O>>;
}

/**
 * Runs a method in one transaction, and at most once per request_id: the same id with the same body gets the
 * first answer, with another body REQUEST_ID_REUSED. Calls that arrive together wait for the first. A call
 * that throws leaves nothing, so its id may be used again. An empty request_id just runs.
 */
export async function answerOnce<I extends DescMessage, O extends DescMessage>(
  options: AnswerOnceOptions<I, O>,
): Promise<MessageShape<O>> {
  const { db, method, request, run } = options;
  if (request.requestId === "") {
    return db.transaction().execute(run);
  }
  const key = keyOf(method, request);
  return db.transaction().execute(async (tx) => {
    await waitForTurn(tx, key);
    const first = await findAnswer(tx, method, request);
    if (first !== undefined) {
      return first;
    }
    const response = await run(tx);
    await insertAnswer(tx, { method, request, response });
    return response;
  });
}

export interface AnswerRepeatableOptions<I extends DescMessage, O extends DescMessage> {
  readonly db: Db;
  readonly method: DescMethodUnary<I, O>;
  readonly request: MessageShape<I> & { readonly requestId: string };
  /** Does the work, outside any transaction of this function. Doing it twice must be as doing it once. */
  readonly run: () => Promise<MessageShape<O>>;
}

/**
 * The same promise for work that cannot be one transaction, because it touches more than the database. Calls
 * that arrive together, and a repetition after a crash, may both run; all get the answer that was stored first.
 */
export async function answerRepeatable<I extends DescMessage, O extends DescMessage>(
  options: AnswerRepeatableOptions<I, O>,
): Promise<MessageShape<O>> {
  const { db, method, request, run } = options;
  if (request.requestId === "") {
    return run();
  }
  const first = await findAnswer(db, method, request);
  if (first !== undefined) {
    return first;
  }
  const response = await run();
  await insertAnswer(db, { method, request, response });
  return (await findAnswer(db, method, request)) ?? response;
}

/** Forgets answers that are older than this; a replay after that runs again. Returns how many. */
export async function deleteOldRequests(db: Db, olderThanDays: number): Promise<number> {
  const before = new Date(Date.now() - olderThanDays * 24 * 60 * 60 * 1000);
  const result = await db.deleteFrom("request").where("create_time", "<", before).executeTakeFirst();
  return Number(result.numDeletedRows);
}

interface RequestKey {
  readonly method: string;
  readonly request_id: string;
}

/** Held until the transaction ends. Two ids with the same hash only wait for each other. */
async function waitForTurn(tx: Tx, { method, request_id }: RequestKey): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`${method} ${request_id}`}, 0))`.execute(tx);
}

/** The stored answer; throws REQUEST_ID_REUSED if it answered another body. */
async function findAnswer<I extends DescMessage, O extends DescMessage>(
  db: Db,
  method: DescMethodUnary<I, O>,
  request: AnswerOnceOptions<I, O>["request"],
): Promise<MessageShape<O> | undefined> {
  const key = keyOf(method, request);
  const first = await db
    .selectFrom("request")
    .select(["body_hash", "response"])
    .where("method", "=", key.method)
    .where("request_id", "=", key.request_id)
    .executeTakeFirst();
  if (first !== undefined && !first.body_hash.equals(hashBody(method.input, request))) {
    throw new DomainError("REQUEST_ID_REUSED", { request_id: request.requestId });
  }
  return first && fromBinary(method.output, first.response);
}

interface Answer<I extends DescMessage, O extends DescMessage> {
  readonly method: DescMethodUnary<I, O>;
  readonly request: AnswerOnceOptions<I, O>["request"];
  readonly response: MessageShape<O>;
}

async function insertAnswer<I extends DescMessage, O extends DescMessage>(db: Db, answer: Answer<I, O>): Promise<void> {
  const { method, request, response } = answer;
  await db
    .insertInto("request")
    .values({
      ...keyOf(method, request),
      create_time: new Date(),
      body_hash: hashBody(method.input, request),
      response: Buffer.from(toBinary(method.output, response)),
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

function keyOf(method: DescMethod, request: { readonly requestId: string }): RequestKey {
  return { method: `${method.parent.typeName}/${method.name}`, request_id: request.requestId };
}

/** Over canonical JSON, since the binary encoding keeps the order in which a client happened to send a map. */
function hashBody<I extends DescMessage>(schema: I, request: MessageShape<I>): Buffer {
  const body = toJson(schema, { ...request, requestId: "" });
  return createHash("sha256").update(canonicalJson(body)).digest();
}
