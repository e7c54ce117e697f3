import { PermissionDecision, PermissionMode, Role, RunEventSchema, TurnStatus } from "@agent-manager/sdk/proto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  eventsOf,
  readDialogue,
  readRecording,
  recordingNames,
  replay,
  replayTime,
  runConfig,
} from "../../../../test/support/claude-recordings.js";
import type { AgentOutcome, ProtocolOutput, ProtocolRequest } from "../runner.js";
import { ClaudeCodeProtocol } from "./protocol.js";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const line = (frame: unknown): Uint8Array => encode(JSON.stringify(frame));

function protocol(change: Partial<ProtocolRequest> = {}): ClaudeCodeProtocol {
  return new ClaudeCodeProtocol({ runId: "r", prompt: "fix it", config: runConfig(), newSessionId: "s", ...change });
}

function feed(state: ClaudeCodeProtocol, ...frames: readonly unknown[]): ProtocolOutput {
  const outputs = frames.map((frame) => state.stdout(line(frame), replayTime));
  return {
    events: outputs.flatMap((it) => it.events),
    deltas: outputs.flatMap((it) => it.deltas),
    writes: outputs.flatMap((it) => it.writes),
  };
}

const asks = (tool: string, input: unknown): unknown => ({
  type: "control_request",
  request_id: "q1",
  request: { subtype: "can_use_tool", tool_name: tool, input, tool_use_id: "toolu_1" },
});

describe("outcome", () => {
  const outcomes: Readonly<Record<string, AgentOutcome["kind"]>> = {
    "background-task": "finished",
    "connection-refused": "failed",
    "cut-off-text": "interrupted",
    denied: "finished",
    disconnected: "failed",
    "disconnected-recovered": "finished",
    "interrupted-shell": "interrupted",
    "key-refused": "unavailable",
    "killed-shell": "interrupted",
    "max-budget": "budgetExceeded",
    "max-turns": "maxTurns",
    "no-credit": "failed",
    overloaded: "failed",
    "rate-limited": "rateLimited",
    resumed: "finished",
    "root-refused": "unavailable",
    "server-error": "failed",
    "session-in-use": "failed",
    "signed-out": "unavailable",
    stalled: "interrupted",
    "subscription-warning": "finished",
    "terminated-shell": "interrupted",
    text: "finished",
    "tools-with-deltas": "finished",
    "unknown-model": "failed",
    "unknown-session": "failed",
  };

  test("every recording has its row", () => {
    expect([...recordingNames].sort()).toEqual(Object.keys(outcomes).sort());
  });

  test.each(Object.entries(outcomes))("the recording %s ends as %s", (name, kind) => {
    expect(replay(protocol(), readRecording(name)).outcome.kind).toBe(kind);
  });

  const codes = {
    "connection-refused": "server_error",
    disconnected: "server_error",
    "key-refused": "authentication_failed",
    "no-credit": "billing_error",
    overloaded: "overloaded",
    "root-refused": "root_refused",
    "server-error": "server_error",
    "session-in-use": "session_in_use",
    "signed-out": "authentication_failed",
    "unknown-model": "model_not_found",
    "unknown-session": "session_not_found",
  };

  test.each(Object.entries(codes))("the failure of %s is named %s", (name, code) => {
    expect(replay(protocol(), readRecording(name)).outcome).toMatchObject({ code, text: expect.stringMatching(/\S/) });
  });

  test("no result is no success, even with exit code 0", () => {
    expect(protocol().exited({ code: 0, signal: null, cause: null }).outcome).toMatchObject({ kind: "interrupted" });
    expect(protocol().exited({ code: 3, signal: null, cause: null }).outcome).toMatchObject({
      kind: "failed",
      code: "no_result",
    });
  });

  test("a session limit tells when it is lifted, in its own words or by the event before", () => {
    const limited = {
      type: "result",
      subtype: "success",
      is_error: true,
      api_error_status: 429,
      result: "You've hit your session limit · resets 9:38am (UTC)",
    };
    const words = protocol();
    feed(words, limited);
    expect(words.exited({ code: 1, signal: null, cause: null }).outcome).toMatchObject({
      kind: "rateLimited",
      retryTimeMs: Date.UTC(2026, 10, 22, 9, 38),
    });
    const event = protocol();
    feed(
      event,
      { type: "rate_limit_event", rate_limit_info: { status: "rejected", resetsAt: 1_795_338_085 } },
      limited,
    );
    expect(event.exited({ code: 1, signal: null, cause: null }).outcome).toMatchObject({
      retryTimeMs: 1_795_338_085_000,
    });
  });
});

describe("events", () => {
  test("no frame of any recording is unknown", () => {
    for (const name of recordingNames) {
      const { events } = replay(protocol(), readRecording(name));
      expect(eventsOf(events, "native"), name).toEqual([]);
      expect(eventsOf(events, "warning"), name).toEqual([]);
    }
  });

  test("every event of every recording can be stored", () => {
    for (const name of recordingNames) storeAll(replay(protocol(), readRecording(name)));
  });

  test("reading a recording again gives the same, ids included", () => {
    for (const name of recordingNames) {
      expect(replay(protocol(), readRecording(name))).toEqual(replay(protocol(), readRecording(name)));
    }
  });

  test("a run with tools reads as it happened", () => {
    const { events } = replay(protocol(), readRecording("tools-with-deltas"));
    expect(events.map(({ event }) => event.case)).toEqual([
      "turnStarted",
      "sessionBound",
      "reasoning",
      "message",
      "toolCall",
      "toolResult",
      "fileChange",
      "toolCall",
      "toolResult",
      "toolCall",
      "toolResult",
      "toolCall",
      "toolResult",
      "fileChange",
      "toolCall",
      "toolResult",
      "plan",
      "message",
      "usage",
      "turnEnded",
    ]);
    expect(eventsOf(events, "turnStarted")).toEqual([{ prompt: "fix it" }]);
    expect(eventsOf(events, "plan")[0]?.entries).toEqual([{ text: "Step one", status: "pending" }]);
    expect(eventsOf(events, "fileChange")[1]?.diff).toContain("-hello world\n+hello fleet\n");
    expect(eventsOf(events, "turnEnded")[0]).toMatchObject({
      status: TurnStatus.COMPLETED,
      result: "All done.",
      stopReason: "completed",
    });
  });

  test("deltas carry the id of the item whose full value follows, and add up to it", () => {
    const { events, deltas } = replay(protocol(), readRecording("tools-with-deltas"));
    expect(deltas.length).toBeGreaterThan(10);
    for (const itemId of new Set(deltas.map((delta) => delta.itemId))) {
      const built = deltas.filter((delta) => delta.itemId === itemId).map((delta) => delta.text);
      const item = events.find((event) => event.itemId === itemId)?.event;
      if (item?.case === "toolCall") {
        // Paths in the recordings were made neutral after the fact, and the program adds defaults to inputs.
        const input = Object.keys(JSON.parse(item.value.inputJson ?? ""));
        expect(input).toEqual(expect.arrayContaining(Object.keys(JSON.parse(built.join("")))));
      } else {
        expect(item?.case === "message" || item?.case === "reasoning").toBe(true);
        expect(item?.value).toMatchObject({ text: built.join("") });
      }
    }
  });

  test("a tool call and its result share their item", () => {
    const { events } = replay(protocol(), readRecording("denied"));
    const calls = events.filter(({ event }) => event.case === "toolCall").map((event) => event.itemId);
    const results = events.filter(({ event }) => event.case === "toolResult").map((event) => event.itemId);
    expect(calls.length).toBeGreaterThan(3);
    expect(results).toEqual(calls);
    expect(eventsOf(events, "toolResult").map((result) => result.isError)).toEqual([true, true, false, true, false]);
  });

  test("a sub-agent's events name the call that started it", () => {
    const message = { id: "m", model: "x", content: [{ type: "text", text: "hi" }] };
    const { events } = feed(protocol(), { type: "assistant", message, parent_tool_use_id: "toolu_9" });
    expect(events[1]).toMatchObject({ itemId: "m/0", parentItemId: "toolu_9" });
  });

  test("what the program says in the model's place is the system's word", () => {
    const { events } = replay(protocol(), readRecording("no-credit"));
    expect(eventsOf(events, "message")).toEqual([{ role: Role.SYSTEM, text: "Credit balance is too low", model: "" }]);
    const recovery = expect.stringMatching(/credit/);
    expect(eventsOf(events, "error")).toMatchObject([
      { code: "billing_error", httpStatus: 400, retryable: false, recovery },
    ]);
  });

  test("retries and limits are told", () => {
    const limited = replay(protocol(), readRecording("rate-limited")).events;
    expect(eventsOf(limited, "retry")).toMatchObject([
      { attempt: 1, maxAttempts: 2, delayMs: 1000, httpStatus: 429 },
      { attempt: 2, delayMs: 1153 },
    ]);
    const warned = replay(protocol(), readRecording("subscription-warning")).events;
    expect(eventsOf(warned, "rateLimit")).toMatchObject([
      { kind: "five_hour", status: "warning", utilization: 0.92, resetTime: { seconds: 1_795_338_085n } },
    ]);
  });

  test("lines that are no frames are the program's log", () => {
    const state = protocol();
    const bytes = Uint8Array.of(0xff, 0xfe, 0x00, 0x41);
    expect(state.stdout(bytes, replayTime).events).toMatchObject([
      { event: { case: "log", value: { data: bytes, stderr: false } } },
    ]);
    for (const odd of ["null", "[]", "17", '"x"', "{", "{}}", "text"]) {
      expect(
        state.stdout(encode(odd), replayTime).events.map(({ event }) => event.case),
        odd,
      ).toEqual(["log"]);
    }
    expect(state.stderr(encode("oops")).events).toMatchObject([{ event: { case: "log", value: { stderr: true } } }]);
    expect(state.stdout(encode(""), replayTime).events).toMatchObject([
      { event: { case: "log", value: { stderr: false } } },
    ]);
  });

  test("a frame of an unknown kind is kept whole and warned about once", () => {
    const frame = { type: "system", subtype: "brand_new", deep: { a: [1, null] } };
    const { events } = feed(protocol(), frame, frame);
    expect(events.map(({ event }) => event.case)).toEqual(["native", "warning", "native"]);
    expect(eventsOf(events, "native")[0]).toEqual({ type: "system/brand_new", json: JSON.stringify(frame) });
  });
});

describe("usage", () => {
  test("three turns of one process add up by model, the interrupted one included", () => {
    const recording = { stdout: readDialogue(), stderr: [], code: 0, signal: null };
    const { events } = replay(protocol(), recording);
    expect(eventsOf(events, "usage")).toMatchObject([
      {
        model: "claude-opus-4-8[1m]",
        delta: { inputTokens: 300n, outputTokens: 30n, costUsd: expect.closeTo(0.00225, 10) },
        total: { inputTokens: 300n },
      },
      { model: "claude-opus-4-8[1m]", delta: { inputTokens: 0n, turns: 2 }, total: { inputTokens: 300n } },
      {
        model: "claude-sonnet-4-5",
        delta: { inputTokens: 100n, outputTokens: 10n },
        total: { inputTokens: 400n, outputTokens: 40n },
      },
    ]);
    expect(eventsOf(events, "turnEnded").map((it) => it.status)).toEqual([
      TurnStatus.COMPLETED,
      TurnStatus.INTERRUPTED,
      TurnStatus.COMPLETED,
    ]);
    expect(eventsOf(events, "turnStarted").length).toBe(3);
  });

  test("the total of every recording is what its result says", () => {
    for (const name of recordingNames) {
      const recording = readRecording(name);
      const results = recording.stdout
        .map((it) => JSON.parse(it) as { type: string; total_cost_usd: number })
        .filter((it) => it.type === "result");
      const totals = eventsOf(replay(protocol(), recording).events, "usage").map((it) => it.total?.costUsd ?? 0);
      expect(totals.at(-1) ?? 0, name).toBeCloseTo(results.at(-1)?.total_cost_usd ?? 0, 12);
    }
  });

  test("tokens of a turn that ran out of budget are not lost", () => {
    const { events } = replay(
      protocol({ config: runConfig({ budget: { costUsd: 0.0005 } }) }),
      readRecording("max-budget"),
    );
    expect(eventsOf(events, "usage")).toMatchObject([{ delta: { inputTokens: 100n, outputTokens: 10n } }]);
    expect(eventsOf(events, "budget")).toEqual([{ limitUsd: 0.0005, spentUsd: 0.00075, exceeded: true }]);
  });
});

describe("dialogue", () => {
  test("the prompt follows the greeting, and input is closed after the result", () => {
    const { writes } = replay(protocol(), readRecording("text"));
    expect(writes.map(({ id, kind }) => [id, kind])).toEqual([
      ["init", "line"],
      ["prompt-1", "line"],
      ["end", "end"],
    ]);
    expect(writes[1]?.kind === "line" && JSON.parse(writes[1].text)).toMatchObject({
      type: "user",
      message: { content: [{ type: "text", text: "fix it" }] },
    });
  });

  test("a turn seen before the word that its prompt was written starts once", () => {
    const state = protocol();
    const seen = feed(state, { type: "system", subtype: "init", session_id: "s" });
    expect(seen.events.map(({ event }) => event.case)).toEqual(["turnStarted", "sessionBound"]);
    expect(state.written("prompt-1").events).toEqual([]);
  });

  test("a permission is denied by default, on the record, and the agent is told", () => {
    const { events, writes } = feed(protocol(), asks("Bash", { command: "rm -rf build" }));
    expect(eventsOf(events, "permissionRequested")).toMatchObject([
      { tool: "Bash", title: "Bash rm -rf build", inputJson: '{"command":"rm -rf build"}' },
    ]);
    expect(eventsOf(events, "permissionResolved")).toMatchObject([
      { decision: PermissionDecision.DENIED, actor: "default" },
    ]);
    expect(events[0]).toMatchObject({ itemId: "toolu_1", runnerIds: { requestId: "q1" } });
    expect(answer(writes)).toMatchObject({
      response: {
        subtype: "success",
        request_id: "q1",
        response: { behavior: "deny", message: expect.stringMatching(/denied by default/) },
      },
    });
  });

  test.each([
    ["full auto allows", { permissionMode: PermissionMode.FULL_AUTO }, "allow"],
    ["a rule that allows the tool allows", { tools: { allowed: ["Bash"] } }, "allow"],
    ["a rule that allows the command allows", { tools: { allowed: ["Bash(git *)"] } }, "allow"],
    ["a rule for another command does not", { tools: { allowed: ["Bash(npm *)"] } }, "deny"],
    [
      "deny beats full auto",
      { permissionMode: PermissionMode.FULL_AUTO, tools: { denied: ["Bash(git push*)"] } },
      "deny",
    ],
    ["deny beats allow", { tools: { allowed: ["Bash"], denied: ["Bash"] } }, "deny"],
    ["read only beats allow", { permissionMode: PermissionMode.READ_ONLY, tools: { allowed: ["Bash"] } }, "deny"],
  ])("%s", (_name, config, behavior) => {
    const { writes } = feed(protocol({ config: runConfig(config) }), asks("Bash", { command: "git push origin" }));
    expect(answer(writes)).toMatchObject({ response: { response: { behavior } } });
  });

  test("a question is recorded and answered by nobody", () => {
    const question = { question: "Which one?", options: [{ label: "A" }, { label: "B" }] };
    const config = runConfig({ permissionMode: PermissionMode.FULL_AUTO });
    const { events, writes } = feed(protocol({ config }), asks("AskUserQuestion", { questions: [question] }));
    expect(eventsOf(events, "questionAsked")).toEqual([{ text: "Which one?", options: ["A", "B"] }]);
    expect(answer(writes)).toMatchObject({ response: { response: { behavior: "deny" } } });
  });

  test("a request that nobody knows is refused, so that the agent does not hang", () => {
    const { events, writes } = feed(protocol(), {
      type: "control_request",
      request_id: "q2",
      request: { subtype: "sing" },
    });
    expect(events.map(({ event }) => event.case)).toEqual(["native", "warning"]);
    expect(answer(writes)).toMatchObject({ response: { subtype: "error", request_id: "q2" } });
  });

  test("an interrupt is one line and changes nothing", () => {
    const state = protocol();
    expect(JSON.parse(state.interrupt() ?? "")).toMatchObject({
      type: "control_request",
      request: { subtype: "interrupt" },
    });
    expect(state.interrupt()).toBe(state.interrupt());
  });

  test("a process that ends in the middle of a turn ends the turn", () => {
    const { events } = replay(protocol(), readRecording("killed-shell"));
    expect(events.at(-1)).toMatchObject({ event: { case: "turnEnded", value: { status: TurnStatus.INTERRUPTED } } });
  });
});

describe("hostile output", () => {
  test("ten megabytes on one line, deep nesting and lone surrogates go through", () => {
    const big = { type: "assistant", message: { id: "m", content: [{ type: "text", text: "x".repeat(10_000_000) }] } };
    const output = feed(protocol(), big);
    expect(eventsOf(output.events, "message")[0]?.text?.length).toBe(10_000_000);
    const deep = `{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"t","name":"X","input":${"[".repeat(200_000)}${"]".repeat(200_000)}}]}}`;
    storeAll(protocol().stdout(encode(deep), replayTime));
    const odd = String.raw`{"type":"assistant","message":{"id":"\ud800","content":[{"type":"text","text":"a\u0000\udfff"}]}}`;
    storeAll(protocol().stdout(encode(odd), replayTime));
  });

  const frames = recordingNames.flatMap((name) => readRecording(name).stdout).map((it) => JSON.parse(it) as unknown);

  test("any frame with anything in any place is read without an exception, and can be stored", () => {
    const anything = fc.oneof(fc.jsonValue(), fc.constant({ __proto__: null }), fc.double(), fc.string());
    const mutated = fc
      .tuple(fc.constantFrom(...frames), fc.nat(), anything)
      .map(([frame, at, value]) => replaceAt(frame, at, value));
    fc.assert(
      fc.property(fc.array(fc.oneof(mutated, fc.jsonValue()), { maxLength: 8 }), (sent) => {
        const state = protocol();
        storeAll(feed(state, ...sent));
        storeAll(state.exited({ code: 1, signal: null, cause: null }));
      }),
      { numRuns: 500 },
    );
  });
});

function answer(writes: ProtocolOutput["writes"]): unknown {
  const [write] = writes;
  return write?.kind === "line" ? JSON.parse(write.text) : undefined;
}

function storeAll({ events }: Pick<ProtocolOutput, "events">): void {
  for (const { event } of events) {
    const bytes = toBinary(RunEventSchema, create(RunEventSchema, { event }));
    expect(fromBinary(RunEventSchema, bytes).event.case).toBe(event.case);
  }
}

/** Puts a value in the place of the n-th value of a JSON tree. */
function replaceAt(tree: unknown, n: number, value: unknown): unknown {
  let left = n % countValues(tree);
  const walk = (node: unknown): unknown => {
    if (left-- === 0) return value;
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== "object" || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, walk(child)]));
  };
  return walk(tree);
}

function countValues(tree: unknown): number {
  if (typeof tree !== "object" || tree === null) return 1;
  return 1 + Object.values(tree).reduce<number>((sum, child) => sum + countValues(child), 0);
}
