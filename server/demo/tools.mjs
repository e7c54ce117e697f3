import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Really reads a file, as a Read call. */
export async function read(turn, path) {
  const file = resolve(path);
  const id = await turn.call("Read", { file_path: file });
  const content = readFileSync(file, "utf8");
  const lines = content.split("\n");
  const numbered = lines.map((line, index) => `${index + 1}\t${line}`).join("\n");
  const facts = { filePath: file, content, numLines: lines.length, startLine: 1, totalLines: lines.length };
  turn.result(id, numbered, { structured: { type: "text", file: facts } });
  return content;
}

/** Really writes a file, as a Write call. */
export async function write(turn, path, content) {
  const file = resolve(path);
  const input = { file_path: file, content };
  const id = await turn.call("Write", input);
  if (!(await permitted(turn, id, "Write", input))) return false;
  const before = readIfThere(file);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  const patch = before === undefined ? [] : [hunk(before, content)];
  const structured = {
    type: before === undefined ? "create" : "update",
    filePath: file,
    content,
    structuredPatch: patch,
    originalFile: before ?? null,
    userModified: false,
  };
  turn.result(
    id,
    before === undefined ? `File created successfully at: ${file}` : `The file ${file} has been updated successfully.`,
    { structured },
  );
  return true;
}

/** Really edits a file, as an Edit call. */
export async function edit(turn, path, oldString, newString) {
  const file = resolve(path);
  const input = { replace_all: false, file_path: file, old_string: oldString, new_string: newString };
  const id = await turn.call("Edit", input);
  if (!(await permitted(turn, id, "Edit", input))) return false;
  const before = readFileSync(file, "utf8");
  const after = before.replace(oldString, () => newString);
  writeFileSync(file, after);
  const structured = {
    filePath: file,
    oldString,
    newString,
    originalFile: before,
    structuredPatch: [hunk(before, after)],
    userModified: false,
    replaceAll: false,
  };
  turn.result(id, `The file ${file} has been updated successfully.`, { structured });
  return true;
}

/** Really removes a file or folder, as claude does: with the shell. */
export async function remove(turn, path) {
  const id = await turn.call("Bash", { command: `rm -rf ${path}`, description: "remove" });
  rmSync(resolve(path), { recursive: true, force: true });
  turn.result(id, "", { structured: { stdout: "", stderr: "", interrupted: false, isImage: false } });
}

/** Really runs a program, as a Bash call; no shell is involved. */
export async function run(turn, [program, ...args], { ask = false } = {}) {
  const input = { command: [program, ...args].join(" "), description: `run ${program}` };
  const id = await turn.call("Bash", input);
  if (ask && !(await permitted(turn, id, "Bash", input))) return undefined;
  const done = await spawned(program === "node" ? process.execPath : program, args, turn.signal);
  const output = `${done.stdout}${done.stderr}`.trimEnd();
  const structured = { stdout: done.stdout, stderr: done.stderr, interrupted: turn.signal.aborted, isImage: false };
  if (done.code === 0) turn.result(id, output, { structured });
  else turn.result(id, `Exit code ${done.code}\n${output}`, { isError: true });
  return done;
}

/** Asks where claude would ask in the same mode, and answers the call itself if the answer is no. */
async function permitted(turn, id, tool, input) {
  const { permissionMode, allowed, denied } = turn.options;
  if (denied.includes(tool)) {
    turn.result(id, `<tool_use_error>Error: No such tool available: ${tool}.</tool_use_error>`, { isError: true });
    return false;
  }
  if (permissionMode === "bypassPermissions") return true;
  if (permissionMode === "acceptEdits" && tool !== "Bash") return true;
  if (allowed.some((rule) => covers(rule, tool, input.command ?? ""))) return true;
  const answer = await turn.ask(id, tool, input);
  if (!answer.allowed) turn.result(id, answer.message, { isError: true });
  return answer.allowed;
}

function covers(rule, tool, command) {
  if (rule === tool) return true;
  const pattern = rule.startsWith(`${tool}(`) && rule.endsWith(")") ? rule.slice(tool.length + 1, -1) : undefined;
  if (pattern === undefined) return false;
  return pattern.endsWith("*") ? command.startsWith(pattern.slice(0, -1).trimEnd()) : command === pattern;
}

function spawned(program, args, signal) {
  // Told to be part of an outer test run, `node --test` prints for a machine.
  const { NODE_TEST_CONTEXT: _outer, ...env } = process.env;
  return new Promise((done) => {
    execFile(program, args, { env, signal, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 127;
      done({ code, stdout, stderr: stderr || (code === 127 ? `${error.message}\n` : "") });
    });
  });
}

function readIfThere(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** One hunk from the first to the last line that differs. */
function hunk(before, after) {
  const [old, now] = [before.split("\n"), after.split("\n")];
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < old.length - head && tail < now.length - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  const from = Math.max(head - 3, 0);
  const after3 = old.slice(old.length - tail, old.length - tail + 3);
  const lines = [
    ...old.slice(from, head).map((line) => ` ${line}`),
    ...old.slice(head, old.length - tail).map((line) => `-${line}`),
    ...now.slice(head, now.length - tail).map((line) => `+${line}`),
    ...after3.map((line) => ` ${line}`),
  ];
  const common = head - from + after3.length;
  return {
    oldStart: from + 1,
    oldLines: old.length - tail - head + common,
    newStart: from + 1,
    newLines: now.length - tail - head + common,
    lines,
  };
}
