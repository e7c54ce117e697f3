/**
 * Named places where a test makes the process fail: AGENT_MANAGER_FAILPOINTS="name:nth:action,...", where the
 * action is `kill` (as kill -9 would, at the nth time the place is passed), `error` or a number of milliseconds
 * to stand still. Without the variable a failpoint costs one comparison.
 */
const VARIABLE = "AGENT_MANAGER_FAILPOINTS";
const SUPERVISOR_VARIABLE = "AGENT_MANAGER_SUPERVISOR_FAILPOINTS";

interface Failpoint {
  readonly name: string;
  readonly nth: number;
  readonly action: string;
}

const armed: readonly Failpoint[] = parse(process.env[VARIABLE] ?? "");
const passed = new Map<string, number>();

export function failpoint(name: string): void {
  if (armed.length === 0) return;
  const count = (passed.get(name) ?? 0) + 1;
  passed.set(name, count);
  for (const point of armed) if (point.name === name && point.nth === count) fail(point);
}

/** The variable of a supervisor: it fails where AGENT_MANAGER_SUPERVISOR_FAILPOINTS says, since it shares code with us. */
export function failpointEnvironment(): Record<string, string> {
  const value = process.env[SUPERVISOR_VARIABLE];
  return value === undefined ? {} : { [VARIABLE]: value };
}

function fail({ name, action }: Failpoint): void {
  if (action === "error") throw new Error(`failpoint ${name}`);
  if (action === "kill") process.kill(process.pid, "SIGKILL");
  // also after the kill: the signal may take a moment, and nothing more may happen until then
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, action === "kill" ? 60_000 : Number(action));
}

function parse(text: string): readonly Failpoint[] {
  return text
    .split(",")
    .filter(Boolean)
    .map((entry) => {
      const [name = "", nth = "1", action = "kill"] = entry.split(":");
      return { name, nth: Number(nth), action };
    });
}
