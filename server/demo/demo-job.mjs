import { existsSync } from "node:fs";
import { edit, read, run } from "./tools.mjs";

const file = "src/sum.mjs";
/** What is wrong in the demo: the sum starts at 1. */
const faults = [/\b(?:let|var) \w+ = 1\b/, /\breduce\(([\s\S]*?), 1\)/];

/** Repairs the demo's failing test as an agent would: look, think, edit, test, report. */
export async function repairDemo(turn, prompt) {
  turn.paceMs = 15;
  await turn.think(`The task is: ${prompt.trim().slice(0, 200)}. I will run the tests first and read what they test.`);
  if (!existsSync(file)) {
    const text = `There is no ${file} here. I am a scripted agent and can only repair the demo's test.`;
    await turn.say(text);
    return text;
  }
  await turn.say("I will see what fails first.");
  await test(turn);
  const source = await read(turn, file);
  const fault = faults.map((pattern) => pattern.exec(source)?.[0]).find((found) => found !== undefined);
  if (fault === undefined) return report(turn, `${file} looks right to me, so I changed nothing.`);
  await turn.say("The sum starts at 1 instead of 0, so every total is one too high.");
  if (!(await edit(turn, file, fault, fault.replace(/1(\)?)$/, "0$1")))) {
    return report(turn, `I found the fault in ${file}, but was not allowed to change the file.`);
  }
  const after = await test(turn);
  if (after === undefined) return report(turn, `Fixed: \`sum\` starts at 0 now. I was not allowed to run the tests.`);
  if (after.code === 0) return report(turn, "Fixed: `sum` starts at 0 now, and the tests pass.");
  return report(turn, "`sum` starts at 0 now, but a test still fails.");
}

async function test(turn) {
  return run(turn, ["node", "--test"], { ask: true });
}

async function report(turn, text) {
  await turn.say(text);
  return text;
}
