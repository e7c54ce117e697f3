import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { remove, run, write } from "./tools.mjs";

/**
 * Does the steps of a script, each an object with one key. Returns what was said last.
 *
 * {say} {think} {write: {path, content}} {delete: path} {shell: [program, ...]} {ask: {tool, input}} {sleep_ms}
 * {stdout: text | {base64}} {stderr} {lines: {count, prefix?, ledger?, delay_ms?}} {usage: {input_tokens,
 * output_tokens, cost_usd}} {error: {subtype?, status?, text, error?}} {exit: code} {signal: name}
 * {spawn_orphan: {seconds, setsid?}} {ignore_sigterm: true}
 */
export async function runScript(turn, script) {
  let said = "";
  for (const step of script) {
    const [kind] = Object.keys(step);
    const action = Object.hasOwn(actions, kind) ? actions[kind] : undefined;
    if (action === undefined) throw new Error(`no such step: ${kind}`);
    said = (await action(turn, step[kind])) ?? said;
  }
  return said;
}

const actions = {
  say: async (turn, text) => {
    await turn.say(text);
    return text;
  },
  think: (turn, text) => turn.think(text),
  write: async (turn, { path, content }) => void (await write(turn, path, content)),
  delete: (turn, path) => remove(turn, path),
  shell: async (turn, command) => void (await run(turn, command)),
  ask: askStep,
  sleep_ms: (turn, ms) => turn.sleep(ms),
  stdout: (_turn, text) => writeRaw(process.stdout, text),
  stderr: (_turn, text) => writeRaw(process.stderr, text),
  lines: linesStep,
  usage: (turn, usage) => turn.addUsage(usage),
  error: (turn, error) => {
    turn.fail(error);
    turn.over();
  },
  exit: (_turn, code) => process.exit(code),
  signal: signalStep,
  spawn_orphan: orphanStep,
  ignore_sigterm: () => {
    process.removeAllListeners("SIGTERM");
    process.on("SIGTERM", () => {});
  },
};

async function askStep(turn, { tool, input = {} }) {
  const id = await turn.call(tool, input);
  const { allowed, message } = await turn.ask(id, tool, input);
  turn.result(id, allowed ? "allowed" : message, { isError: !allowed });
  const text = allowed ? `${tool} was allowed` : `${tool} was denied: ${message}`;
  await turn.say(text);
  return text;
}

/** The ledger is written before the line: whatever was printed is in it. */
async function linesStep(turn, { count, prefix = "line ", ledger, delay_ms: delayMs = 0 }) {
  for (let n = 1; n <= count; n += 1) {
    const line = `${prefix}${n}`;
    if (ledger) appendFileSync(ledger, `${n} ${createHash("sha256").update(line).digest("hex")}\n`, { flag: "a" });
    process.stdout.write(`${line}\n`);
    if (delayMs > 0) await turn.sleep(delayMs);
    // Lets an interrupt in between.
    else if (n % 1000 === 0) await turn.sleep(0);
  }
}

async function signalStep(turn, signal) {
  process.kill(process.pid, signal);
  await turn.sleep(5_000);
}

/** Leaves a process behind; its id is in the result. */
async function orphanStep(turn, { seconds, setsid = true }) {
  const id = await turn.call("Bash", { command: `sleep ${seconds} &`, description: "leave a process behind" });
  const child = spawn("sleep", [String(seconds)], { detached: setsid, stdio: "ignore" });
  child.unref();
  turn.result(id, `started ${child.pid}`);
}

function writeRaw(stream, text) {
  stream.write(
    typeof text === "string" ? `${text}\n` : Buffer.concat([Buffer.from(text.base64, "base64"), Buffer.from("\n")]),
  );
}
