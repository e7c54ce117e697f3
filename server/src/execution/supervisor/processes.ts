import { readdirSync, readFileSync } from "node:fs";
import type { ProcessIdentity } from "./messages.js";

/** The identity of a live process; undefined if there is none or only its zombie is left. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (!stat) return undefined;
  // the command name is in parentheses and may hold spaces and parentheses itself
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  const startTime = fields[19]; // field 22 of proc(5), counted from the state, field 3
  if (state === "Z" || state === "X" || startTime === undefined) return undefined;
  return { pid, startTime };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTime === identity.startTime;
}

/** Identifies the boot of this machine: after a reboot every recorded process is gone. */
export function readBootId(): string {
  return readProc("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

/**
 * The processes whose environment holds NAME=value, this one left out. A variable reaches every descendant of
 * an agent, also those that left its process group and session.
 */
export function findProcessesByVariable(name: string, value: string): readonly ProcessIdentity[] {
  const needle = `${name}=${value}`;
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((pid) => readProc(`/proc/${pid}/environ`)?.split("\0").includes(needle))
    .flatMap((pid) => identifyProcess(Number(pid)) ?? []);
}

/** Sends a signal to a process if it is still the one that was meant. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  return signalPid(identity.pid, signal);
}

/** Sends a signal to a pid, or to a process group if negative; false if there is nothing to send it to. */
export function signalPid(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // gone in between, or another user's
  }
}
