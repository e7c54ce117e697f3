import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import type { Db } from "../../server/src/store/schema.js";
import {
  answersLost,
  appendOfOldOwner,
  escapedProcess,
  promptAgain,
  type Scenario,
  type Subject,
  slowAppends,
  unrecordedLaunch,
} from "./support/guard-scenarios.js";
import { PromiseBroken } from "./support/oracle.js";
import { copyServer, type Mutation } from "./support/server-copy.js";

interface Guard {
  readonly guard: string;
  readonly scenario: Scenario;
  readonly remove: () => Promise<Subject>;
}

const guards: readonly Guard[] = [
  {
    guard: "the check of the offset in the append",
    scenario: answersLost,
    remove: async () => withoutCondition(/and \(e\.from_offset is null or l\.spool_offset = e\.from_offset\)/),
  },
  {
    guard: "the check of the epoch in the append",
    scenario: appendOfOldOwner,
    remove: async () => withoutCondition(/and \(e\.epoch is null or l\.epoch = e\.epoch\)/),
  },
  {
    guard: "waiting for the commit before an append counts as done",
    scenario: slowAppends,
    remove: () =>
      withoutCode({
        file: "log/log-writer.js",
        change: (code) => `${code}
          const { append } = LogWriter.prototype;
          LogWriter.prototype.append = function (...args) {
            append.apply(this, args).catch(() => {});
            return Promise.resolve({ kind: "appended" });
          };`,
      }),
  },
  {
    guard: "looking for an agent's processes beyond its group",
    scenario: escapedProcess,
    remove: () =>
      withoutCode({
        file: "supervisor.mjs",
        change: (code) => code.replace(/#descendants\(\) \{\s*return [^;]+;/, "#descendants() { return [];"),
      }),
  },
  {
    guard: "the launch gate",
    scenario: unrecordedLaunch,
    remove: () =>
      withoutCode({
        file: "supervisor.mjs",
        change: (code) => code.replace("read -r _ <&3 || exit 125; exec", "exec"),
      }),
  },
  {
    guard: "writing each line to the agent once",
    scenario: promptAgain,
    remove: () =>
      withoutCode({
        file: "supervisor.mjs",
        change: (code) => code.replaceAll(/if \(this\.#written\.has\(id\)\)\s*return;/g, ""),
      }),
  },
];

describe.each(guards)("$guard", ({ scenario, remove }) => {
  test("holds", () => scenario({}));

  test("is missed when it is gone", async () => {
    const subject = await remove();
    const outcome = await scenario(subject).catch((error: unknown) => error);
    if (!(outcome instanceof PromiseBroken)) throw outcome ?? new Error("the mutant was not noticed");
    expect(outcome.problems).not.toEqual([]);
    console.log(`the mutant was noticed: ${outcome.problems[0]}`);
  });
});

async function withoutCode(mutation: Mutation): Promise<Subject> {
  return { program: await copyServer(mutation) };
}

/** Takes a condition out of the function that appends, as it is in the database. */
function withoutCondition(condition: RegExp): Subject {
  const breakDatabase = async (db: Db) => {
    const { rows } = await sql<{ text: string }>`
      select pg_get_functiondef('append_events'::regproc) as text`.execute(db);
    const text = rows[0]?.text ?? "";
    const mutant = text.replace(condition, "");
    if (mutant === text) throw new Error("append_events no longer has the condition: mend the mutation");
    await sql.raw(mutant).execute(db);
  };
  return { breakDatabase };
}
