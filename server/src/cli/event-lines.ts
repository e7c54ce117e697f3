import { type RunEvent, RunState } from "@agent-manager/sdk";
import { PermissionDecision, ReviewDecision, Role } from "@agent-manager/sdk/proto";
import type { Tone } from "./tone.js";
import { plainLine, plainText, shorten } from "./untrusted.js";
import { duration, plural, stateWord } from "./words.js";

/** A line or paragraph for the terminal; its text is plain. */
export interface Line {
  readonly tone: Tone;
  readonly text: string;
}

type Kind = NonNullable<RunEvent["event"]["case"]>;
type ValueOf<K extends Kind> = Extract<RunEvent["event"], { readonly case: K }>["value"];

/** Says in lines what happened; nothing for what a person need not see. */
export function describeEvent(event: RunEvent): readonly Line[] {
  if (event.event.case === undefined) {
    return [];
  }
  // The table maps each kind to a function of that kind's value, which the compiler cannot follow through the index.
  const describe = describers[event.event.case] as ((value: unknown) => readonly Line[]) | undefined;
  return describe?.(event.event.value) ?? [];
}

const describers: { readonly [K in Kind]?: (value: ValueOf<K>) => readonly Line[] } = {
  runStateChanged: ({ to, reason }) => {
    const tone = to === RunState.FAILED ? "bad" : to === RunState.COMPLETED ? "good" : "dim";
    return [line(tone, reason === "" ? stateWord(to) : `${stateWord(to)}: ${reason}`)];
  },
  sessionBound: ({ model, runnerVersion, resumed }) => {
    const words = [resumed ? "session resumed" : "session opened", model, runnerVersion && `version ${runnerVersion}`];
    return [line("dim", words.filter(Boolean).join(" · "))];
  },
  message: ({ role, text }) => {
    switch (role) {
      case Role.USER:
        return [line("dim", `> ${shorten(text, 300)}`)];
      case Role.SYSTEM:
        return [line("dim", text)];
      default:
        return [{ tone: "plain", text: plainText(text).trim() }];
    }
  },
  reasoning: ({ text, redacted }) => [{ tone: "dim", text: redacted ? "(thinking)" : plainText(text).trim() }],
  toolCall: ({ name, title }) => [line("tool", `→ ${title || name}`)],
  toolResult: ({ text, isError }) => excerpt(text, isError ? "bad" : "dim"),
  command: ({ command, exitCode }) =>
    exitCode === undefined
      ? [line("tool", `$ ${command}`)]
      : exitCode === 0
        ? []
        : [line("bad", `  exit code ${exitCode}: ${command}`)],
  commandOutput: ({ data, stderr }) => excerpt(new TextDecoder().decode(data), stderr ? "warning" : "dim"),
  plan: ({ entries }) => entries.map(({ text, status }) => line("dim", `  ${planMarks[status] ?? "☐"} ${text}`)),
  permissionRequested: ({ tool, title }) => [line("warning", `? asks for permission: ${title || tool}`)],
  permissionResolved: ({ decision, actor, message }) =>
    decision === PermissionDecision.DENIED
      ? [line("warning", `✗ permission denied${actor === "" ? "" : ` by ${actor}`}${message && `: ${message}`}`)]
      : [line("dim", `✓ permission given${actor === "" ? "" : ` by ${actor}`}`)],
  questionAsked: ({ text, options }) => [
    line("warning", `? ${text}${options.length > 0 ? ` (${options.join(" / ")})` : ""}`),
  ],
  questionAnswered: ({ text, actor }) => [line("dim", `${actor || "somebody"} answered: ${text}`)],
  rateLimit: ({ kind, status, resetTime }) =>
    status === "allowed"
      ? []
      : [
          line(
            "warning",
            `rate limit ${kind}: ${status}${resetTime === undefined ? "" : ` until ${clock(resetTime.seconds)}`}`,
          ),
        ],
  budget: ({ limitUsd, spentUsd, exceeded }) => [
    line(
      "warning",
      `budget ${exceeded ? "reached" : "nearly reached"}: $${spentUsd.toFixed(2)} of $${limitUsd.toFixed(2)}`,
    ),
  ],
  policyDecision: ({ subject, decision }) => [line("dim", `policy: ${subject}: ${decision}`)],
  scopeLock: ({ status, holderRunId }) => (status === "waiting" ? [line("dim", `waits for run ${holderRunId}`)] : []),
  sandbox: ({ status, sandbox, durationMs }) =>
    status === "created"
      ? [
          line("dim", `sandbox: ${sandbox?.driver ?? ""} (${sandbox?.provider ?? ""}) in ${duration(durationMs)}`),
          ...(sandbox?.notes ?? []).map((note) => line("dim", `  ${note}`)),
        ]
      : [],
  changeSet: ({ summary, warnings }) => [
    line(
      "dim",
      `changed ${plural(summary?.files ?? 0, "file")}, +${summary?.additions ?? 0} -${summary?.deletions ?? 0}`,
    ),
    ...warnings.map((warning) => line("warning", `! ${warning}`)),
  ],
  artifact: ({ name, mediaType }) => [line("dim", `artifact ${name} (${mediaType})`)],
  retry: ({ attempt, maxAttempts, delayMs, reason }) => [
    line(
      "warning",
      `tries again (${attempt}${maxAttempts > 0 ? ` of ${maxAttempts}` : ""}) in ${duration(delayMs)}: ${reason}`,
    ),
  ],
  fallback: ({ from, to, reason }) => [line("warning", `goes on with ${to} instead of ${from}: ${reason}`)],
  warning: ({ text }) => [line("warning", `! ${text}`)],
  error: ({ text, recovery }) => [line("bad", `✗ ${text}`), ...(recovery === "" ? [] : [line("bad", `  ${recovery}`)])],
  log: ({ data, stderr }) => (stderr ? [line("dim", `  ${shorten(new TextDecoder().decode(data), 200)}`)] : []),
  processEnded: ({ exitCode, signal, cause }) =>
    signal === "" && cause === "" && (exitCode ?? 0) === 0
      ? []
      : [line("dim", `agent ended${cause && ` (${cause})`}: ${signal || `exit code ${exitCode ?? "unknown"}`}`)],
  review: ({ decision, actor, comment }) => {
    const word = decision === ReviewDecision.APPROVED ? "approved" : "rejected";
    return [line("dim", `${word}${actor && ` by ${actor}`}${comment && `: ${comment}`}`)];
  },
  apply: ({ files, conflicts }) =>
    conflicts.length === 0
      ? [line("good", `applied ${plural(files.length, "file")} to the project`)]
      : conflicts.map(({ path, detail }) => line("bad", `✗ conflict in ${path}: ${detail}`)),
};

const planMarks: Readonly<Record<string, string>> = { completed: "☑", in_progress: "▶" };

function line(tone: Tone, text: string): Line {
  const indent = /^ */.exec(text)?.[0] ?? "";
  return { tone, text: indent + plainLine(text) };
}

/** The first lines of a long text. */
function excerpt(text: string, tone: Tone): readonly Line[] {
  const all = plainText(text).trim().split("\n");
  const shown = all.slice(0, 3).map((each) => ({ tone, text: `  ${shorten(each.trimEnd(), 160)}` }));
  return all.length > 3 ? [...shown, { tone: "dim", text: `  … ${plural(all.length - 3, "more line")}` }] : shown;
}

function clock(seconds: bigint): string {
  return new Date(Number(seconds) * 1000).toLocaleString();
}
