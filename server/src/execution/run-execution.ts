import {
  type ChangeSet,
  ChangeSetSummarySchema,
  ErrorClass,
  EventKind,
  EventSource,
  type RunConfig,
  RunConfigSchema,
  RunOutcome,
  RunState,
  SandboxInfoSchema,
} from "@agent-manager/sdk/proto";
import { create } from "@bufbuild/protobuf";
import { decideEnd } from "../domain/run-state.js";
import { failpoint } from "../failpoint.js";
import { decodeStoredEvent, type NewEvent } from "../log/event-encoding.js";
import type { Runner, RunnerProtocol } from "../runners/runner.js";
import type { Sandbox, SandboxProvider } from "../sandbox/sandbox-provider.js";
import { saveChangeSet } from "../store/change-sets.js";
import { messageFromJson } from "../store/json.js";
import { raiseEpoch, readRunEvents, readRunLog } from "../store/run-events.js";
import { type RunWithLog, updateRunSummary, writeJson } from "../store/runs.js";
import { describeEnding, type RunEnding } from "./agent-ending.js";
import { findRunner, prepareLaunch } from "./agent-launch.js";
import type { ExecutionContext } from "./execution-context.js";
import { retryWhileUnavailable } from "./retry.js";
import { situation } from "./run-changes.js";
import { RunFailure, runFailure } from "./run-failure.js";
import { type RunFolder, readSpec, readState, removeRunFolder, runFolder } from "./run-folder.js";
import { RunSummary } from "./run-summary.js";
import { SpoolReader } from "./spool/spool-reader.js";
import { SpoolIngest } from "./spool-ingest.js";
import { SpoolTranslator } from "./spool-translator.js";
import { NONCE_VARIABLE } from "./supervisor/agent-process.js";
import type { StopCause, SupervisorSpec } from "./supervisor/messages.js";
import { findProcessesByVariable, signalProcess } from "./supervisor/processes.js";
import { launchSupervisor } from "./supervisor-launch.js";
import { SupervisorLink } from "./supervisor-link.js";

/** More than any launch gives. */
const MAX_WARNINGS = 1_000;

/**
 * One run on this host from its claim to its end. Every step can be done again: after a crash of the server
 * the same calls find what exists and go on from there.
 */
export class RunExecution {
  readonly #folder: RunFolder;
  readonly #config: RunConfig;
  readonly #sandboxes: SandboxProvider;
  readonly #leaving = new AbortController();
  readonly #signal: AbortSignal;
  readonly #summary = new RunSummary();
  #link: SupervisorLink | undefined;
  #stopCause: StopCause | undefined;

  constructor(
    readonly run: RunWithLog,
    readonly context: ExecutionContext,
  ) {
    this.#folder = runFolder(run.data_dir, run.run_id);
    this.#sandboxes = context.sandboxesIn(run.data_dir);
    this.#config = messageFromJson(RunConfigSchema, run.config);
    this.#signal = AbortSignal.any([context.signal, this.#leaving.signal]);
    if (run.stop_time) this.#stopCause = "stop";
  }

  /** Ends the agent; safe at any time and more than once. */
  stop(cause: StopCause): void {
    this.#stopCause ??= cause;
    this.#link?.stop(cause);
  }

  /** Leaves the run as it is: another server looks after it now. */
  leave(): void {
    this.#leaving.abort();
  }

  /** True once this server has left the run, by leave() or because it goes. */
  get left(): boolean {
    return this.#signal.aborted;
  }

  /** Resolves when the run has ended or waits for review, or when this server leaves it to the next one. */
  async execute(): Promise<void> {
    const epoch = await this.#retry(() => raiseEpoch(this.context.db, this.run.run_id));
    try {
      const sandbox = await this.#prepareSandbox(epoch);
      const spec = (await this.#findLaunch()) ?? (await this.#launch(sandbox, epoch));
      const ending = await this.#follow(spec, epoch);
      if (ending) await this.#finish(sandbox, ending, epoch);
    } catch (error) {
      if (!(error instanceof RunFailure)) throw error;
      await this.#end({ outcome: error.outcome, reason: error.message, retryTimeMs: null }, 0, [error.event], epoch);
    }
  }

  async #prepareSandbox(epoch: bigint): Promise<Sandbox> {
    const { reviewer } = this.context;
    const sandboxes = this.#sandboxes;
    const startMs = performance.now();
    const sandboxId = this.run.run_id;
    try {
      const sandbox =
        (await sandboxes.open(sandboxId)) ??
        (await sandboxes.create({ sandboxId, projectRoot: this.run.project_root, signal: this.#signal }));
      failpoint("run.sandbox-made");
      await reviewer.captureBase(sandbox, this.#signal);
      failpoint("run.base-captured");
      await this.#recordSandbox(sandbox, Math.round(performance.now() - startMs), epoch);
      return sandbox;
    } catch (error) {
      if (this.#signal.aborted) throw error;
      this.context.log.error({ err: error, run_id: this.run.run_id }, "the sandbox could not be made");
      const text = `the sandbox could not be made: ${error instanceof Error ? error.message : "unknown error"}`;
      throw runFailure(RunOutcome.SANDBOX_FAILED, {
        class: ErrorClass.INTERNAL,
        code: "sandbox_failed",
        text,
        recovery: "",
      });
    }
  }

  async #recordSandbox(sandbox: Sandbox, durationMs: number, epoch: bigint): Promise<void> {
    const { provider, driver, confined, notes } = sandbox;
    const info = create(SandboxInfoSchema, { provider, driver, confined, notes: [...notes] });
    const value = { status: "created", sandbox: info, durationMs };
    await this.#change(epoch, (run) =>
      run.sandbox !== null
        ? undefined // recorded before the server was restarted
        : {
            set: { sandbox: writeJson(SandboxInfoSchema, info) },
            events: [event(EventSource.SANDBOX, { case: "sandbox", value })],
          },
    );
  }

  /**
   * The launch that exists already; undefined if none does and none can come: then the agent never ran, since
   * its gate opens only after its state is on disk.
   */
  async #findLaunch(): Promise<SupervisorSpec | undefined> {
    const spec = await readSpec(this.#folder);
    if (!spec) return undefined;
    const pending = () => findProcessesByVariable(NONCE_VARIABLE, spec.nonce).length > 0;
    if ((await readState(this.#folder)) || pending() || (await readState(this.#folder))) return spec;
    await removeRunFolder(this.#folder);
    return undefined;
  }

  async #launch(sandbox: Sandbox, epoch: bigint): Promise<SupervisorSpec> {
    const { spec, environment, warnings } = await prepareLaunch({
      run: this.run,
      config: this.#config,
      runner: this.#runner(),
      protocol: this.#protocol(),
      sandbox,
      sandboxes: this.#sandboxes,
      context: this.context,
    });
    await this.#recordWarnings(warnings, epoch);
    await launchSupervisor({ folder: this.#folder, spec, environment });
    return spec;
  }

  /** Undefined when this server leaves; the next one goes on. */
  async #follow(spec: SupervisorSpec, epoch: bigint): Promise<RunEnding | undefined> {
    const { db, writer, hub } = this.context;
    const reader = new SpoolReader(this.#folder.spool);
    const log = await this.#retry(() => readRunLog(db, this.run.run_id));
    const link = new SupervisorLink({
      folder: this.#folder,
      spec,
      epoch,
      signal: this.#signal,
      onChange: () => ingest.notify(),
    });
    const ingest = new SpoolIngest({
      runId: this.run.run_id,
      epoch,
      committedOffset: Number(log?.spool_offset ?? 0),
      reader,
      translator: new SpoolTranslator(this.#protocol(), spec),
      db,
      writer,
      hub,
      signal: this.#signal,
      write: (write) => link.write(write),
      sourceGone: () => link.gone,
      onStarted: (atMs) => this.#recordStart(atMs, epoch),
      onReplayed: (events) => this.#summary.add(events),
      onCommitted: (events) => this.#recordSummary(events),
    });
    this.#link = link;
    if (this.#stopCause) link.stop(this.#stopCause);
    const kept = link.keep();
    try {
      const ending = await ingest.run();
      if (ending) return describeEnding(ending);
      if (this.#signal.aborted) return undefined;
      return this.#recordLoss(spec);
    } finally {
      await reader.close();
      void kept.catch(() => {}); // ends by itself once the supervisor has
    }
  }

  /** The supervisor went away without saying how the agent ended; whatever it started must not go on unseen. */
  #recordLoss(spec: SupervisorSpec): RunEnding {
    for (const orphan of findProcessesByVariable(NONCE_VARIABLE, spec.nonce)) signalProcess(orphan, "SIGKILL");
    const reason = "the run's supervisor went away; everything up to then is kept";
    return { outcome: RunOutcome.LOST, reason, retryTimeMs: null };
  }

  async #recordStart(atMs: number, epoch: bigint): Promise<void> {
    await this.#change(epoch, (run) =>
      run.state !== RunState.STARTING
        ? undefined
        : {
            transition: { from: run.state, to: RunState.RUNNING, reason: "" },
            set: { start_time: new Date(atMs) },
          },
    );
  }

  async #recordSummary(events: readonly NewEvent[]): Promise<void> {
    this.#summary.add(events);
    const set = this.#summary.take();
    if (set) await this.#retry(() => updateRunSummary(this.context.db, this.run.run_id, set));
  }

  /** Those that the log has not yet: a launch may be prepared again, and the answer to an append get lost. */
  async #recordWarnings(warnings: readonly string[], epoch: bigint): Promise<void> {
    if (warnings.length === 0) return;
    await this.#retry(async () => {
      const known = await this.#readWarnings();
      const events = warnings
        .filter((text) => !known.has(text))
        .map((text) => event(EventSource.MANAGER, { case: "warning", value: { code: "config_not_enforced", text } }));
      const decision = events.length > 0 ? { events } : undefined;
      await this.context.changes.change(this.run.run_id, () => decision, epoch);
    });
  }

  async #readWarnings(): Promise<ReadonlySet<string>> {
    const query = { runId: this.run.run_id, afterSequence: 0n, kinds: [EventKind.WARNING], limit: MAX_WARNINGS };
    const events = (await readRunEvents(this.context.db, query)).map(decodeStoredEvent);
    return new Set(events.map(({ event }) => (event.case === "warning" ? event.value.text : "")));
  }

  async #finish(sandbox: Sandbox, ending: RunEnding, epoch: bigint): Promise<void> {
    failpoint("run.agent-ended");
    const changeSet = await this.context.reviewer.computeChangeSet(sandbox, this.#signal);
    const { digest, files, additions, deletions, warnings } = changeSet;
    await this.#retry(() => saveChangeSet(this.context.db, withRunId(changeSet, this.run.run_id)));
    failpoint("run.change-set-saved");
    const summary = create(ChangeSetSummarySchema, { digest, files: files.length, additions, deletions });
    const computed = event(EventSource.SANDBOX, { case: "changeSet", value: { summary, warnings } });
    await this.#end(ending, files.length, [computed], epoch, {
      change_set: writeJson(ChangeSetSummarySchema, summary),
    });
  }

  async #end(
    ending: RunEnding,
    changedFiles: number,
    events: readonly NewEvent[],
    epoch: bigint,
    set: { readonly change_set?: string } = {},
  ): Promise<void> {
    const retryTime = ending.retryTimeMs === null ? {} : { retry_time: new Date(ending.retryTimeMs) };
    await this.#change(epoch, (run) => ({
      transition: decideEnd(situation(run), ending.outcome, changedFiles, ending.reason),
      set: { ...set, ...retryTime },
      events,
    }));
  }

  #runner(): Runner {
    return findRunner(this.context.runners, this.run.runner);
  }

  #protocol(): RunnerProtocol {
    return this.#runner().protocol({
      runId: this.run.run_id,
      prompt: this.run.prompt,
      config: this.#config,
      newSessionId: this.run.run_id,
    });
  }

  #change(epoch: bigint | null, decide: Parameters<ExecutionContext["changes"]["change"]>[1]) {
    return this.#retry(() => this.context.changes.change(this.run.run_id, decide, epoch));
  }

  #retry<T>(action: () => Promise<T>): Promise<T> {
    return retryWhileUnavailable(action, this.#signal);
  }
}

function event(source: EventSource, content: NewEvent["event"]): NewEvent {
  return { occurTimeMs: Date.now(), source, event: content };
}

function withRunId(changeSet: ChangeSet, runId: string): ChangeSet {
  return { ...changeSet, runId };
}
