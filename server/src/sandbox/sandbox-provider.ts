/**
 * A sandbox provider isolates: it makes a private view of a project for one run and says how to start a
 * process in it. Base capture, change sets and apply are not its business (review/). Nothing outside this
 * folder knows which provider serves.
 */
export interface SandboxProvider {
  readonly name: string;

  /** Finds out, by trying, what this machine allows. */
  probe(): Promise<SandboxProbe>;

  /**
   * Makes the sandbox, or returns the one with this id if it is complete. A half-made one is made again.
   * Throws SandboxError.
   */
  create(request: SandboxRequest): Promise<Sandbox>;

  /** The sandbox with this id; undefined if there is none or it is half made. */
  open(sandboxId: string): Promise<Sandbox | undefined>;

  /** How to start a program inside the sandbox: what to spawn, where, with which environment. */
  launch(sandbox: Sandbox, program: SandboxProgram): SandboxProgram;

  /** Removes the sandbox and everything in it. Removing an absent one does nothing. */
  destroy(sandboxId: string): Promise<void>;

  /** Ids of the complete and half-made sandboxes that are ours. */
  list(): Promise<readonly string[]>;
}

export interface SandboxProbe {
  readonly available: boolean;
  readonly driver: string;
  readonly confined: boolean;
  /** What a reader should know: why a better driver is not used, what to install. */
  readonly notes: readonly string[];
}

export interface SandboxRequest {
  /** The run's id; makes creation idempotent. */
  readonly sandboxId: string;
  /** Absolute path of the project's folder. */
  readonly projectRoot: string;
  readonly signal?: AbortSignal;
}

export interface Sandbox {
  readonly sandboxId: string;
  readonly projectRoot: string;
  readonly provider: string;
  readonly driver: string;
  /** True if the agent's writes cannot leave the workspace. */
  readonly confined: boolean;
  readonly notes: readonly string[];
  /** The folder in which the server can read what the agent made. */
  readonly workspace: string;
  /** A private folder of this sandbox for review/: base, journal. */
  readonly reviewDir: string;
}

export interface SandboxProgram {
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
}

export type SandboxErrorCode = "project_missing" | "no_space" | "unsupported" | "aborted" | "failed";

export class SandboxError extends Error {
  override readonly name = "SandboxError";

  constructor(
    readonly code: SandboxErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
