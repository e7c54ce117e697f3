import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { RunOutcome, RunState } from "@agent-manager/sdk";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type FakeRun, FakeService, playEdit } from "../../../test/support/fake-service.js";
import { runProgram } from "./program.js";
import type { Terminal } from "./terminal.js";

const service = new FakeService();
const server = createServer(connectNodeAdapter({ routes: service.routes }));
let url = "";

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server has an AddressInfo
});
afterAll(() => server.close());
beforeEach(() => {
  service.runs.length = 0;
  service.created.length = 0;
  service.profiles.clear();
  service.onRun = () => {};
  service.onStop = (run) => run.move(RunState.CANCELLED, RunOutcome.STOPPED);
});

interface Person {
  readonly answers?: string[];
  readonly tty?: boolean;
  readonly env?: Record<string, string>;
}

/** Runs a command against the fake service as a person at a terminal, or a program, would. */
async function command(args: readonly string[], { answers, tty = false, env = {} }: Person = {}) {
  let out = "";
  let err = "";
  const interrupts = new Set<() => void>();
  const questions: string[] = [];
  const terminal: Terminal = {
    interactive: answers !== undefined,
    tty,
    columns: 100,
    write: (text) => {
      out += text;
    },
    note: (text) => {
      err += `${text}\n`;
    },
    ask: async (question) => {
      questions.push(question);
      return answers?.shift() ?? "";
    },
    onInterrupt: (handler) => {
      interrupts.add(handler);
      return () => interrupts.delete(handler);
    },
  };
  const running = runProgram(args, { terminal, env: { AGENT_MANAGER_URL: url, AGENT_MANAGER_TOKEN: "t", ...env } });
  const ctrlC = () => {
    for (const handler of interrupts) {
      handler();
    }
  };
  const done = running.then((code) => ({ code, out, err, questions }));
  return { done, ctrlC, output: () => out };
}

async function result(args: readonly string[], person?: Person) {
  return await (await command(args, person)).done;
}

test("run --yes follows the agent, shows the diff, applies it and ends with 0", async () => {
  service.onRun = playEdit;
  const { code, out, err } = await result(["run", "fix the sum", "--yes", "--label", "issue=42", "--timeout", "80m"]);
  expect(err).toBe("");
  expect(code).toBe(0);
  expect(out).toContain("I will fix the sum.");
  expect(out).toContain("→ Edit src/sum.mjs");
  expect(out).toContain("+let total = 0;");
  expect(out).toContain("✓ applied 1 file to the project");
  expect(out).toContain("1.2k tokens in, 80 out, $0.0123, 2 turns");
  expect(out).not.toContain("\x1b");
  expect(service.created[0]).toMatchObject({
    labels: { issue: "42" },
    configOverrides: { timeoutMs: 4_800_000 },
    work: { value: { prompt: "fix the sum", projectRoot: process.cwd() } },
  });
});

test.each([
  ["y", 0, RunState.COMPLETED],
  ["n", 4, RunState.REJECTED],
  ["l", 3, RunState.NEEDS_REVIEW],
  ["", 3, RunState.NEEDS_REVIEW],
])("the answer %j to the question ends with %i", async (answer, code, state) => {
  service.onRun = playEdit;
  const person = await result(["run", "fix"], { answers: ["what?", answer] });
  expect(person.code).toBe(code);
  expect(person.questions).toHaveLength(2);
  expect(service.runs[0]?.run.state).toBe(state);
});

test("without a terminal the changes wait, and the command to approve them is named", async () => {
  service.onRun = playEdit;
  const { code, err } = await result(["run", "fix"]);
  expect(code).toBe(3);
  expect(err).toContain(`agent-manager approve ${service.runs[0]?.run.runId}`);
});

test("--json prints one JSON object per event and the outcome last", async () => {
  service.onRun = playEdit;
  const { code, out } = await result(["run", "fix", "--yes", "--json"]);
  const lines = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(code).toBe(0);
  expect(lines.slice(0, -1).map((line) => line.sequence)).toEqual(["1", "2", "3", "4", "5", "6", "7"]);
  expect(lines.at(-1)).toMatchObject({
    outcome: { kind: "succeeded", review: "approved", appliedFiles: ["src/sum.mjs"], exitCode: 0 },
  });
});

test.each([
  [RunOutcome.NO_CHANGES, RunState.COMPLETED, 0],
  [RunOutcome.RUNNER_ERROR, RunState.FAILED, 1],
  [RunOutcome.TIMED_OUT, RunState.FAILED, 5],
  [RunOutcome.MAX_TURNS, RunState.FAILED, 6],
  [RunOutcome.RATE_LIMITED, RunState.FAILED, 7],
  [RunOutcome.LOST, RunState.FAILED, 9],
])("outcome %i ends with its own exit code", async (outcome, state, code) => {
  service.onRun = (run) => run.move(state, outcome, "because");
  expect((await result(["run", "fix"])).code).toBe(code);
});

test("Ctrl-C asks the run to stop and waits for it", async () => {
  service.onRun = (run) => run.move(RunState.RUNNING);
  const { done, ctrlC, output } = await command(["run", "fix"]);
  await expect.poll(output).toContain("running");
  ctrlC();
  const { code, out } = await done;
  expect(code).toBe(8);
  expect(out).toContain("stopping the run; Ctrl-C again leaves it");
  expect(service.runs[0]?.stopRequested).toBe(true);
});

test("a second Ctrl-C leaves the run alone", async () => {
  service.onRun = (run) => run.move(RunState.RUNNING);
  service.onStop = () => {};
  const { done, ctrlC, output } = await command(["run", "fix"]);
  await expect.poll(output).toContain("running");
  ctrlC();
  ctrlC();
  const { code, out } = await done;
  expect(code).toBe(130);
  expect(out).toContain("it goes on");
});

test("on a terminal text appears as it is written, once", async () => {
  service.onRun = async (run) => {
    run.move(RunState.RUNNING);
    await expect.poll(() => service.openWatches).toBe(1);
    for (const text of ["I will ", "fix ", "\x1b]0;evil\x07it"]) {
      run.delta({ itemId: "m1", channel: 1, text });
      run.append({ case: "progress", value: { text: "writing" } });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    run.append({ case: "message", value: { role: 2, text: "I will fix it." } }, "m1");
    run.move(RunState.COMPLETED, RunOutcome.NO_CHANGES);
  };
  const { out } = await result(["run", "fix", "--no-color"], { tty: true });
  expect(out).toContain("I will fix it.\n");
  expect(out.split("I will").length).toBe(2);
  expect(out).not.toContain("evil");
});

test("events that come while text is written wait until it is complete, and none is shown twice", async () => {
  service.onRun = async (run) => {
    await expect.poll(() => service.openWatches).toBe(1);
    run.delta({ itemId: "m1", channel: 1, text: "first " });
    run.append({ case: "warning", value: { text: "in between" } });
    await new Promise((resolve) => setTimeout(resolve, 20));
    run.delta({ itemId: "m1", channel: 1, text: "text" });
    run.delta({ itemId: "m2", channel: 1, text: "second" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    run.append({ case: "message", value: { role: 2, text: "first text" } }, "m1");
    run.append({ case: "message", value: { role: 2, text: "second text" } }, "m2");
    run.move(RunState.COMPLETED, RunOutcome.NO_CHANGES);
  };
  const { out } = await result(["run", "fix", "--no-color"], { tty: true });
  expect(out).toContain("first text\n! in between\nsecond text\n");
  const program = await result(["watch", "last"]);
  expect(program.out).toContain("! in between\nfirst text\nsecond text\n");
});

test("terminal sequences of an agent are not printed, in no event", async () => {
  const evil = "\x1b]0;evil\x07\x1b[2Jtext";
  service.onRun = (run) => {
    run.append({ case: "message", value: { role: 2, text: evil } });
    run.append({ case: "toolCall", value: { title: evil, name: evil } });
    run.append({ case: "toolResult", value: { text: evil, isError: true } });
    run.append({ case: "error", value: { text: evil, recovery: evil } });
    run.append({ case: "plan", value: { entries: [{ text: evil, status: evil }] } });
    run.move(RunState.FAILED, RunOutcome.RUNNER_ERROR, evil);
  };
  const { out } = await result(["run", "fix"]);
  expect(out).toContain("text");
  for (const hidden of ["\x1b", "\x07", "evil"]) {
    expect(out).not.toContain(hidden);
  }
});

test("runs are listed, and found by the end of their id, its beginning, or last", async () => {
  const ids = [1, 2, 3].map((n) => addRun(n).run.runId);
  const list = await result(["runs"]);
  expect(list.out.split("\n").slice(1, 4)).toEqual([
    expect.stringMatching(/^00000003 {2}needs review/),
    expect.stringMatching(/^00000002/),
    expect.stringMatching(/^00000001/),
  ]);
  const shown = async (reference: string) => JSON.parse((await result(["show", reference, "--json"])).out).runId;
  expect(await shown("last")).toBe(ids[2]);
  expect(await shown("00000001")).toBe(ids[0]);
  expect(await shown(ids[1] ?? "")).toBe(ids[1]);
  const ambiguous = await result(["show", "0198"]);
  expect(ambiguous).toMatchObject({ code: 2, err: expect.stringContaining('3 runs match "0198"') });
  const absent = await result(["show", "ffff"]);
  expect(absent).toMatchObject({ code: 1, err: expect.stringContaining('there is no run "ffff"') });
});

test("diff, approve and reject work on a run that waits", async () => {
  addRun(1);
  expect((await result(["diff", "last", "--color"])).out).toContain("\x1b[32m+let total = 0;\x1b[39m");
  expect((await result(["diff", "last", "--stat"])).out).toContain("modified  src/sum.mjs  +1 -1");
  const stale = await result(["approve", "last", "--digest", "digest-0"]);
  expect(stale).toMatchObject({ code: 1, err: expect.stringContaining("not digest-0") });
  expect((await result(["approve", "last"])).out).toContain("✓ applied 1 file");
  addRun(2);
  expect((await result(["reject", "last"])).code).toBe(0);
  expect(service.runs[0]?.run.state).toBe(RunState.REJECTED);
});

test("watch shows a run from the start and ends as the run did", async () => {
  playEdit(service.add());
  const { code, out } = await result(["watch", "last", "--after", "1"]);
  expect(code).toBe(3);
  expect(out).toContain("I will fix the sum.");
});

test("profiles are ensured and listed, runners are listed", async () => {
  expect((await result(["profiles", "ensure", "fixer", "--runner", "claude-code"])).err).toContain(
    "created profile fixer",
  );
  expect((await result(["profiles", "ensure", "fixer"])).err).toContain("is as asked for");
  expect((await result(["profiles"])).out).toContain("fixer");
  expect((await result(["runners"])).out).toMatch(/claude-code +Claude Code +2\.1\.0 +yes/);
});

test("doctor says what is there", async () => {
  const { code, out } = await result(["doctor", "--data-dir", "/tmp"]);
  expect(out).toMatch(/✓ git .*\n✓ data directory .*\n✓ service .*\n✓ database .*\n✓ runner claude-code .*2\.1\.0/);
  expect(code).toBe(0);
});

test.each([
  [["frobnicate"], "unknown command 'frobnicate'"],
  [["run"], "missing required argument 'prompt'"],
  [["run", "x", "--label", "nope"], '"nope" is not key=value'],
  [["run", "x", "--timeout", "soon"], "is not a duration such as"],
  [["run", "x", "--yes", "--reject"], "--yes and --reject contradict each other"],
  [["run", " "], "the prompt is empty"],
  [["runs", "--state", "happy"], "is not one of queued, starting"],
])("wrong usage %j ends with 2 and says what is wrong", async (args, sentence) => {
  const { code, err } = await result(args);
  expect(err).toContain(sentence);
  expect(err).not.toContain("    at ");
  expect(code).toBe(2);
});

test("a service that is not there ends with 10 and says what to do", async () => {
  const { code, err } = await result(["runs"], { env: { AGENT_MANAGER_URL: "http://127.0.0.1:9" } });
  expect(code).toBe(10);
  expect(err).toContain("start it with `agent-manager serve`");
});

test("help and version end with 0", async () => {
  expect((await result(["--version"])).out).toBe("0.1.0\n");
  const help = await result(["run", "--help"]);
  expect(help.code).toBe(0);
  expect(help.out).toContain("Exit codes:");
});

test("colours come on a terminal, not with NO_COLOR", async () => {
  addRun(1);
  expect((await result(["runs"], { tty: true })).out).toContain("\x1b[2m");
  expect((await result(["runs"], { tty: true, env: { NO_COLOR: "1" } })).out).not.toContain("\x1b[2m");
});

function addRun(n: number): FakeRun {
  const run = service.add({ runId: `01980000-0000-7000-8000-0000${String(n).padStart(8, "0")}` });
  playEdit(run);
  return run;
}
