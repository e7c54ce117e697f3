import { CreateTaskRequestSchema } from "@agent-manager/sdk/proto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { checkStorableText } from "./storable-text.js";

type Init = MessageInitShape<typeof CreateTaskRequestSchema>;
const check = (init: Init) => () => checkStorableText(CreateTaskRequestSchema, create(CreateTaskRequestSchema, init));

test.each<[string, Init]>([
  ["request_id", { requestId: "a\0" }],
  ["task.title", { task: { title: "half of a pair \ud83d" } }],
  ["task.scope_paths[1]", { task: { scopePaths: ["a", "\0"] } }],
  ["task.context[0].note", { task: { context: [{ content: { case: "note", value: "\udc00" } }] } }],
  ["task.labels", { task: { labels: { "a\0": "b" } } }],
  ['task.labels["a"]', { task: { labels: { a: "\0" } } }],
])("what Postgres cannot hold is refused at %s", (field, init) => {
  expect(check(init)).toThrow(
    expect.objectContaining({ reason: "INVALID_REQUEST", values: expect.objectContaining({ field }) }),
  );
});

test("every other text is let through", () => {
  expect(check({ task: { prompt: "\u0001 🙂 \uffff ü", labels: { "": "" } } })).not.toThrow();
});
