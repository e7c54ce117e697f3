#!/usr/bin/env node
// An agent program without a model: it speaks the stream-json wire of claude on both sides and really edits,
// runs and waits, but does what its prompt says, or repairs the demo's test. For the demo and for tests.
import { createInterface } from "node:readline";
import { repairDemo } from "./demo-job.mjs";
import { readOptions } from "./options.mjs";
import { runScript } from "./script.mjs";
import { Session } from "./session.mjs";
import { Interrupted, TurnOver } from "./turn.mjs";

const options = readOptions(process.argv.slice(2));
if (options.version) {
  process.stdout.write("2.1.197 (Claude Code, scripted)\n");
  process.exit(0);
}
// claude catches the signal and ends so; a script may ask to ignore it.
process.on("SIGTERM", () => process.exit(143));
process.on("SIGINT", () => session.interrupt());
process.stdout.on("error", () => process.exit(1));

const session = new Session(options);
const refusal = session.open();
if (refusal !== undefined) {
  process.stderr.write(refusal.stderr);
  if (refusal.result !== undefined) session.send(refusal.result);
  process.exit(1);
}

let work = Promise.resolve();
const input = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
input.on("line", (line) => {
  const frame = parse(line);
  if (frame?.type === "user") work = work.then(() => runTurn(promptOf(frame)));
  else if (frame !== undefined) session.receive(frame);
});
// A turn under way is finished first, as claude does.
input.on("close", () => {
  session.inputEnded();
  work.then(() => process.exit(session.failed ? 1 : 0));
});

async function runTurn(prompt) {
  const turn = session.startTurn();
  try {
    const script = scriptIn(prompt);
    const said = script === undefined ? await repairDemo(turn, prompt) : await runScript(turn, script);
    turn.succeed(said);
  } catch (error) {
    if (error instanceof Interrupted) turn.interrupted();
    else if (!(error instanceof TurnOver)) turn.fail({ text: error instanceof Error ? error.message : String(error) });
  }
  session.endTurn();
}

/** The script in a prompt, which may stand between other words. */
function scriptIn(prompt) {
  const start = prompt.indexOf('{"script"');
  if (start < 0) return undefined;
  return parse(prompt.slice(start, prompt.lastIndexOf("}") + 1))?.script;
}

function promptOf(frame) {
  const content = frame.message?.content ?? "";
  return typeof content === "string" ? content : content.map((block) => block.text ?? "").join("\n");
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
