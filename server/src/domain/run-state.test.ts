import { RunOutcome, RunState, TaskState } from "@agent-manager/sdk/proto";
import { describe, expect, test } from "vitest";
import { decideEnd, decideReview, decideStop, isTerminal, taskStateAfter } from "./run-state.js";

const states = Object.values(RunState).filter(
  (value): value is RunState => typeof value === "number" && value !== RunState.UNSPECIFIED,
);

function run(state: RunState, outcome = RunOutcome.UNSPECIFIED) {
  return { runId: "r", state, outcome };
}

describe("a stop", () => {
  test("before the agent starts cancels the run at once", () => {
    expect(decideStop(run(RunState.QUEUED), "enough")).toEqual({
      kind: "transition",
      transition: { from: RunState.QUEUED, to: RunState.CANCELLED, reason: "enough", outcome: RunOutcome.STOPPED },
    });
  });

  test.each([RunState.STARTING, RunState.RUNNING, RunState.AWAITING_INPUT])(
    "in state %s is the agent's to act on",
    (state) => {
      expect(decideStop(run(state), "")).toEqual({ kind: "signalAgent" });
    },
  );

  test("of a run that waits for review or has ended is refused with its state", () => {
    for (const state of [RunState.NEEDS_REVIEW, ...states.filter(isTerminal)]) {
      expect(() => decideStop(run(state), "")).toThrow(
        expect.objectContaining({ reason: "RUN_NOT_STOPPABLE", values: { run_id: "r", state: RunState[state] } }),
      );
    }
  });
});

describe("the end of an agent", () => {
  test("that left changes waits for a decision, whatever the outcome", () => {
    for (const outcome of [RunOutcome.SUCCEEDED, RunOutcome.TIMED_OUT, RunOutcome.STOPPED, RunOutcome.LOST]) {
      expect(decideEnd(run(RunState.RUNNING), outcome, 1, "why")).toMatchObject({ to: RunState.NEEDS_REVIEW, outcome });
    }
  });

  test.each([
    [RunOutcome.SUCCEEDED, RunState.COMPLETED, RunOutcome.NO_CHANGES],
    [RunOutcome.STOPPED, RunState.CANCELLED, RunOutcome.STOPPED],
    [RunOutcome.TIMED_OUT, RunState.FAILED, RunOutcome.TIMED_OUT],
    [RunOutcome.RUNNER_ERROR, RunState.FAILED, RunOutcome.RUNNER_ERROR],
    [RunOutcome.LOST, RunState.FAILED, RunOutcome.LOST],
  ])("with outcome %s and no changes is final", (given, to, outcome) => {
    expect(decideEnd(run(RunState.RUNNING), given, 0, "")).toMatchObject({ to, outcome });
  });

  test("of a run that is not active was decided by someone else", () => {
    expect(() => decideEnd(run(RunState.CANCELLED), RunOutcome.SUCCEEDED, 0, "")).toThrow(
      expect.objectContaining({ reason: "RUN_CHANGED" }),
    );
  });
});

describe("a review", () => {
  test("takes a run that waits for it to its end and keeps the agent's outcome", () => {
    const waiting = run(RunState.NEEDS_REVIEW, RunOutcome.TIMED_OUT);
    expect(decideReview(waiting, "approved", "")).toMatchObject({
      to: RunState.COMPLETED,
      outcome: RunOutcome.TIMED_OUT,
    });
    expect(decideReview(waiting, "rejected", "")).toMatchObject({
      to: RunState.REJECTED,
      outcome: RunOutcome.TIMED_OUT,
    });
  });

  test("in any other state is refused", () => {
    for (const state of states.filter((other) => other !== RunState.NEEDS_REVIEW)) {
      expect(() => decideReview(run(state), "approved", "")).toThrow(
        expect.objectContaining({ reason: "RUN_NOT_REVIEWABLE" }),
      );
    }
  });
});

test("terminal states are left by no decision", () => {
  for (const state of states.filter(isTerminal)) {
    expect(() => decideStop(run(state), "")).toThrow();
    expect(() => decideEnd(run(state), RunOutcome.SUCCEEDED, 1, "")).toThrow();
    expect(() => decideReview(run(state), "approved", "")).toThrow();
  }
});

test("a task follows its run", () => {
  expect(states.map(taskStateAfter)).toEqual([
    ...Array(4).fill(TaskState.ACTIVE),
    TaskState.NEEDS_REVIEW,
    TaskState.DONE,
    ...Array(3).fill(TaskState.FAILED),
  ]);
});
