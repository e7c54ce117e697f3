import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bundleProgram, type Program } from "../../../../test/support/program.js";
import { decodeControl, decodeStdin } from "../spool/control.js";
import { RecordKind, type SpoolRecord, UNTERMINATED } from "../spool/record.js";
import { SpoolReader } from "../spool/spool-reader.js";
import { connectSupervisor, type SupervisorConnection } from "../supervisor-connection.js";
import type { SupervisorSpec } from "./messages.js";
import { findProcessesByVariable } from "./processes.js";

let program: Program;
let folder: string;
let child: ChildProcess | undefined;
let connection: SupervisorConnection | undefined;

beforeAll(async () => {
  program = await bundleProgram("server/src/execution/supervisor/main.ts");
});

afterAll(() => program.remove());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "am-supervisor-"));
});

afterEach(() => {
  connection?.close();
  connection = undefined;
  if (child?.exitCode === null) child.kill("SIGKILL");
  for (const { pid } of findProcessesByVariable("AGENT_MANAGER_NONCE", folder)) process.kill(pid, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function spec(command: [string, ...string[]], overrides: Partial<SupervisorSpec> = {}): SupervisorSpec {
  return {
    version: 1,
    runId: "run",
    nonce: folder,
    command,
    workingDirectory: folder,
    environment: ["PATH", "SECRET"],
    secrets: ["SECRET"],
    timeoutMs: 60_000,
    inactivityTimeoutMs: 0,
    graceMs: 200,
    maxOutputBytes: 1e9,
    diskFullLimitMs: 600_000,
    interrupt: null,
    ...overrides,
  };
}

function start(given: SupervisorSpec): ChildProcess {
  writeFileSync(join(folder, "spec.json"), JSON.stringify(given));
  child = spawn(process.execPath, [program.path, folder], {
    env: { PATH: process.env.PATH, SECRET: "sesame-open", OTHER: "not passed" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return child;
}

async function run(given: SupervisorSpec): Promise<SpoolRecord[]> {
  await once(start(given), "exit");
  return readSpool();
}

async function readSpool(): Promise<SpoolRecord[]> {
  const reader = new SpoolReader(join(folder, "spool"));
  const records: SpoolRecord[] = [];
  for (let offset = 0; ; ) {
    const batch = await reader.read(offset);
    if (batch.records.length === 0) break;
    records.push(...batch.records.map(({ record }) => ({ ...record, payload: Buffer.from(record.payload) })));
    offset = batch.endOffset;
  }
  await reader.close();
  return records;
}

async function connect(epoch = 1n): Promise<SupervisorConnection> {
  for (let tries = 0; ; tries += 1) {
    try {
      const socketPath = join(folder, "ctl.sock");
      connection = await connectSupervisor({
        socketPath,
        nonce: folder,
        epoch,
        onSpooled: () => {},
        onClose: () => {},
      });
      return connection;
    } catch (error) {
      if (tries > 200) throw error;
      await sleep(20);
    }
  }
}

function exitOf(records: readonly SpoolRecord[]) {
  const last = records.at(-1);
  if (last?.kind !== RecordKind.control) throw new Error("the spool does not end with a control record");
  return decodeControl(last.payload);
}

function textOf(records: readonly SpoolRecord[], kind: RecordKind): string[] {
  return records.filter((record) => record.kind === kind).map(({ payload }) => payload.toString("latin1"));
}

const sh = (script: string): [string, ...string[]] => ["/bin/sh", "-c", script];

describe("a supervisor", () => {
  test("keeps both streams, the missing last line end and the true exit code", async () => {
    const records = await run(spec(sh("echo out; echo err >&2; printf last; exit 3")));
    expect(textOf(records, RecordKind.stdout)).toEqual(["out", "last"]);
    expect(textOf(records, RecordKind.stderr)).toEqual(["err"]);
    expect(records.findLast(({ kind }) => kind === RecordKind.stdout)?.flags).toBe(UNTERMINATED);
    expect(exitOf(records)).toMatchObject({ type: "exited", code: 3, signal: null, cause: null });
  });

  test("has the agent's identity on disk before the agent runs", async () => {
    const records = await run(spec(sh(`cat ${join(folder, "state.json")}`)));
    const state = JSON.parse(textOf(records, RecordKind.stdout).join(""));
    expect(state).toMatchObject({ nonce: folder, agent: { pid: expect.any(Number), startTime: expect.any(String) } });
  });

  test("killed before the gate opens leaves no agent that runs", async () => {
    const marker = join(folder, "ran");
    writeFileSync(join(folder, "lock"), ""); // a second supervisor of the same folder dies before it does anything
    await once(start(spec(sh(`touch ${marker}`))), "exit");
    await sleep(200);
    expect(() => readFileSync(marker)).toThrow();
  });

  test("gives the agent only the named variables and never spools a secret", async () => {
    const records = await run(spec(sh('echo "$SECRET $OTHER."; printf sesame-; sleep 0.1; echo open')));
    expect(textOf(records, RecordKind.stdout)).toEqual(["[redacted:SECRET] .", "[redacted:SECRET]"]);
  });

  test("writes each line to the agent once, however often it is told, and records it before the answer", async () => {
    start(spec(sh("while read line; do echo got $line; done")));
    const link = await connect();
    for (let times = 0; times < 3; times += 1) link.send({ type: "write", id: "w1", text: "hello" });
    link.send({ type: "end", id: "e" });
    await once(child as ChildProcess, "exit");
    const records = await readSpool();
    expect(textOf(records, RecordKind.stdout)).toEqual(["got hello"]);
    const stdin = records.findIndex(({ kind }) => kind === RecordKind.stdin);
    expect(decodeStdin(records[stdin]?.payload ?? Buffer.alloc(0))).toMatchObject({ id: "w1" });
    expect(stdin).toBeLessThan(records.findIndex(({ kind }) => kind === RecordKind.stdout));
  });

  test("refuses a connection with an older epoch", async () => {
    start(spec(sh("sleep 5")));
    await connect(5n);
    const socketPath = join(folder, "ctl.sock");
    const old = connectSupervisor({ socketPath, nonce: folder, epoch: 4n, onSpooled: () => {}, onClose: () => {} });
    await expect(old).rejects.toThrow();
    connection?.send({ type: "stop", cause: "stop" });
    await once(child as ChildProcess, "exit");
  });

  test("stops an agent that ignores SIGTERM, with a child that left its session, within grace and two seconds", async () => {
    const script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 300' & sleep 300";
    start(spec(sh(script)));
    const link = await connect();
    await sleep(300);
    const began = Date.now();
    link.send({ type: "stop", cause: "stop" });
    await once(child as ChildProcess, "exit");
    expect(Date.now() - began).toBeLessThan(200 + 2_000 + 500);
    expect(exitOf(await readSpool())).toMatchObject({ type: "exited", cause: "stop" });
    expect(findProcessesByVariable("AGENT_MANAGER_NONCE", folder)).toEqual([]);
  });

  test("kills what an agent that ended well left behind, also when it holds the pipes", async () => {
    const records = await run(spec(sh("setsid sleep 300 & echo done")));
    expect(exitOf(records)).toMatchObject({ code: 0, orphansKilled: 1 });
    expect(findProcessesByVariable("AGENT_MANAGER_NONCE", folder)).toEqual([]);
  });

  test.each([
    ["timeout", { timeoutMs: 300 }],
    ["inactivity", { inactivityTimeoutMs: 300 }],
  ] as const)("ends an agent by %s and says so", async (cause, limits) => {
    expect(exitOf(await run(spec(sh("sleep 300"), limits)))).toMatchObject({ cause });
  });

  test("ends an agent that floods, within its quota and a pipe's worth, and says so", async () => {
    const maxOutputBytes = 200_000;
    const records = await run(
      spec(sh("while :; do echo 0123456789012345678901234567890123456789; done"), { maxOutputBytes }),
    );
    expect(exitOf(records)).toMatchObject({ cause: "outputQuota" });
    const written = records.reduce((sum, { payload }) => sum + payload.length + 26, 0);
    expect(written).toBeGreaterThan(maxOutputBytes);
    expect(written).toBeLessThan(maxOutputBytes + 1_000_000);
  });

  test("says why an agent could not be started", async () => {
    const records = await run(spec(["/nonexistent/agent"]));
    expect(exitOf(records)).toMatchObject({ code: 127 });
    expect(textOf(records, RecordKind.stderr).join("")).toContain("/nonexistent/agent");
  });

  test("keeps an agent waiting while the disk is full, and loses nothing", async () => {
    if (process.getuid?.() !== 0) return; // only root can mount the small disk
    const disk = join(folder, "spool");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]);
    try {
      start(spec(sh("i=0; while [ $i -lt 3000 ]; do echo line-$i-$(printf '%0100d' 0); i=$((i+1)); done")));
      await sleep(1_500);
      expect(child?.exitCode).toBeNull();
      execFileSync("mount", ["-o", "remount,size=8m", disk]);
      await once(child as ChildProcess, "exit");
      const lines = textOf(await readSpool(), RecordKind.stdout).map((line) => line.split("-")[1]);
      expect(lines).toEqual(Array.from({ length: 3_000 }, (_, index) => String(index)));
    } finally {
      execFileSync("umount", ["-l", disk]);
    }
  });

  test("ends an agent that waited too long for a full disk, and still records how it ended", async () => {
    if (process.getuid?.() !== 0) return; // only root can mount the small disk
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=400k", "tmpfs", folder]);
    try {
      const flood = "while :; do echo 0123456789012345678901234567890123456789; done";
      const records = await run(spec(sh(flood), { diskFullLimitMs: 500 }));
      expect(exitOf(records)).toMatchObject({ cause: "diskFull" });
    } finally {
      execFileSync("umount", ["-l", folder]);
    }
  });
});
