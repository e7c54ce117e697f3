import type { RunHandle, RunResult } from "@agent-manager/sdk";
import { EventDeltaSchema, RunEventSchema } from "@agent-manager/sdk/proto";
import { toJson } from "@bufbuild/protobuf";
import type { Context } from "./context.js";
import { LiveView } from "./live-view.js";
import { plainLine } from "./untrusted.js";
import { usageWords } from "./words.js";

export interface FollowOptions {
  /** The sequence of the last event that need not be shown. */
  readonly after?: bigint;
  /** Whether Ctrl-C asks the run to stop first, or leaves at once. */
  readonly stopOnInterrupt: boolean;
  /** With --json: partial text too. */
  readonly deltas?: boolean;
}

/** Shows a run until its agent's work has ended; undefined if the person left. */
export async function followRun(
  context: Context,
  run: RunHandle,
  options: FollowOptions,
): Promise<RunResult | undefined> {
  const left = new AbortController();
  const view = context.globals.json ? jsonView(context, options) : humanView(context);
  const forget = context.terminal.onInterrupt(interruptHandler(context, run, { options, left, view }));
  try {
    const frames = run.frames({
      after: options.after ?? 0n,
      signal: left.signal,
      onReconnect: ({ attempt, error }) =>
        attempt === 2 && view.say(`lost the service, trying again: ${error.message}`),
    });
    for await (const frame of frames) {
      view.show(frame);
    }
    return await run.wait({ signal: left.signal });
  } catch (error) {
    if (left.signal.aborted) {
      return undefined;
    }
    throw error;
  } finally {
    view.close();
    forget();
  }
}

/** Says in one line how the agent's work ended. */
export function resultLine(context: Context, result: RunResult): string {
  const { paint } = context;
  const words = resultWords[result.kind];
  const good = result.kind === "succeeded" || result.kind === "noChanges";
  const reason = good || result.reason === "" ? "" : `: ${plainLine(result.reason)}`;
  const retry =
    result.kind === "rateLimited" && result.retryAt !== undefined
      ? `; try again after ${result.retryAt.toLocaleString()}`
      : "";
  const usage = usageWords(result.run.usage);
  const head = `${good ? "✓" : "✗"} ${words}${reason}${retry}`;
  return `${good ? paint.green(head) : paint.red(head)}${usage === "" ? "" : paint.dim(`  (${usage})`)}`;
}

const resultWords: Readonly<Record<RunResult["kind"], string>> = {
  succeeded: "the agent is done",
  noChanges: "the agent is done and changed nothing",
  timedOut: "the time limit was reached",
  maxTurns: "the turn limit was reached",
  rateLimited: "the model's provider refused for now",
  budgetExceeded: "the budget was reached",
  policyViolation: "a policy ended the run",
  runnerUnavailable: "the runner cannot be used",
  runnerError: "the agent failed",
  sandboxFailed: "the sandbox failed",
  stopped: "the run was stopped",
  lost: "the run was lost",
  resourceExhausted: "a quota of output, or the disk, ran out",
  other: "the run ended",
};

type View = Pick<LiveView, "show" | "say" | "close">;

function humanView(context: Context): View {
  return new LiveView(context);
}

function jsonView(context: Context, options: FollowOptions): View {
  return {
    show: (frame) => {
      if (frame.kind === "event") {
        context.printJson(toJson(RunEventSchema, frame.event));
      } else if (options.deltas) {
        context.printJson({ delta: toJson(EventDeltaSchema, frame.delta) });
      }
    },
    say: (text) => context.terminal.note(text),
    close: () => {},
  };
}

function interruptHandler(
  context: Context,
  run: RunHandle,
  { options, left, view }: { options: FollowOptions; left: AbortController; view: View },
): () => void {
  let asked = !options.stopOnInterrupt;
  return () => {
    if (asked) {
      view.say(`left run ${run.id}; it goes on, see \`agent-manager watch ${run.id}\``);
      left.abort();
      return;
    }
    asked = true;
    view.say("stopping the run; Ctrl-C again leaves it");
    // A run that has ended in between needs no stop, and any other failure shows in the stream.
    run
      .stop({ comment: "Ctrl-C" })
      .catch((error: unknown) => context.env.AGENT_MANAGER_DEBUG && view.say(String(error)));
  };
}
