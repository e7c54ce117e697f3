import { accessSync, constants } from "node:fs";
import { access, mkdir, readdir, rm } from "node:fs/promises";
import { delimiter, dirname, join, relative } from "node:path";
import {
  type Sandbox,
  SandboxError,
  type SandboxProbe,
  type SandboxProgram,
  type SandboxProvider,
  type SandboxRequest,
} from "../sandbox-provider.js";
import { settleCopy } from "./copied-tree.js";
import { copyTree } from "./copy-tree.js";
import { checkProjectRoot, holds } from "./project-root.js";
import { removeTree } from "./remove-tree.js";
import {
  finishFolder,
  isOurs,
  isSandboxId,
  readMeta,
  type SandboxFolder,
  type SandboxMeta,
  sandboxFolder,
  startFolder,
} from "./sandbox-folder.js";

export interface LocalSandboxOptions {
  /** Where sandboxes live, one folder each; made if absent. */
  readonly stateDir: string;
  readonly log?: { info(values: object, text: string): void };
}

const unconfined = "writes by absolute path outside the workspace are not prevented by the copy driver";

/** Sandboxes in folders of this machine. Driver "copy": a private full copy of the project. */
export function createLocalSandboxProvider(options: LocalSandboxOptions): SandboxProvider {
  const making = new Map<string, Promise<Sandbox>>();
  const folderOf = (sandboxId: string): SandboxFolder => sandboxFolder(options.stateDir, sandboxId);

  return {
    name: "local",
    probe: () => probe(options.stateDir),

    async create(request) {
      // Two calls for one id must not fill the same folder.
      const running = making.get(request.sandboxId);
      if (running !== undefined) return running;
      const made = create(request, folderOf(request.sandboxId), options).finally(() =>
        making.delete(request.sandboxId),
      );
      making.set(request.sandboxId, made);
      return made;
    },

    async open(sandboxId) {
      const folder = folderOf(sandboxId);
      const meta = await readMeta(folder);
      return meta === undefined ? undefined : toSandbox(folder, meta);
    },

    launch,

    async destroy(sandboxId) {
      const folder = folderOf(sandboxId);
      if (await isOurs(folder)) await remove(folder);
    },

    async list() {
      const entries = await readdir(options.stateDir, { withFileTypes: true }).catch(() => []);
      const ids = entries.filter((entry) => entry.isDirectory() && isSandboxId(entry.name)).map(({ name }) => name);
      const ours = await Promise.all(ids.map((id) => isOurs(folderOf(id))));
      return ids.filter((_, index) => ours[index]);
    },
  };
}

async function create(request: SandboxRequest, folder: SandboxFolder, options: LocalSandboxOptions): Promise<Sandbox> {
  const existing = await readMeta(folder);
  if (existing !== undefined) return toSandbox(folder, existing);
  await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
  const projectRoot = await checkProjectRoot(request.projectRoot, options.stateDir);
  if (await isOurs(folder)) await remove(folder);
  if (await exists(folder.path)) {
    throw new SandboxError("failed", `${folder.path} is there and was not made by agent-manager; move it away`);
  }
  try {
    const meta = await fill(folder, request, projectRoot);
    options.log?.info({ sandboxId: request.sandboxId, projectRoot, notes: meta.notes }, "sandbox made");
    return toSandbox(folder, meta);
  } catch (error) {
    await remove(folder).catch(() => undefined); // the first error says more than the failed clean-up
    throw asSandboxError(error, request);
  }
}

async function fill(folder: SandboxFolder, request: SandboxRequest, projectRoot: string): Promise<SandboxMeta> {
  const { signal } = request;
  signal?.throwIfAborted();
  await startFolder(folder);
  const withSignal = signal === undefined ? {} : { signal };
  const copied = await copyTree({ from: projectRoot, to: folder.workspace, ...withSignal });
  const settled = await settleCopy({ projectRoot, workspace: folder.workspace, ...withSignal });
  signal?.throwIfAborted();
  const notes = [unconfined, ...copied, ...settled];
  const meta: SandboxMeta = { version: 1, sandboxId: request.sandboxId, projectRoot, driver: "copy", notes };
  await finishFolder(folder, meta);
  return meta;
}

async function remove(folder: SandboxFolder): Promise<void> {
  // First the claim to be complete, last the marker: a removal cut off is seen as half made and taken up again.
  await rm(folder.meta, { force: true });
  await removeTree(folder.workspace);
  await removeTree(folder.reviewDir);
  await removeTree(folder.path);
}

async function probe(stateDir: string): Promise<SandboxProbe> {
  const problems: string[] = [];
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
    .then(() => access(stateDir, constants.W_OK | constants.X_OK))
    .catch(() => problems.push(`${stateDir} cannot be written; choose another data folder`));
  if (!onPath("git")) problems.push("git is missing; install it");
  return { available: problems.length === 0, driver: "copy", confined: false, notes: [...problems, unconfined] };
}

function launch(sandbox: Sandbox, program: SandboxProgram): SandboxProgram {
  const inProject = holds(sandbox.projectRoot, program.workingDirectory);
  const below = inProject ? relative(sandbox.projectRoot, program.workingDirectory) : "";
  const inWorkspace = holds(sandbox.workspace, program.workingDirectory);
  return {
    command: program.command,
    // Without a .git of its own the workspace must not be taken for a part of a repository around the data folder.
    environment: { GIT_CEILING_DIRECTORIES: dirname(sandbox.workspace), ...program.environment },
    workingDirectory: inWorkspace ? program.workingDirectory : join(sandbox.workspace, below),
  };
}

function toSandbox(folder: SandboxFolder, meta: SandboxMeta): Sandbox {
  return {
    sandboxId: meta.sandboxId,
    projectRoot: meta.projectRoot,
    provider: "local",
    driver: meta.driver,
    confined: false,
    notes: meta.notes,
    workspace: folder.workspace,
    reviewDir: folder.reviewDir,
  };
}

function asSandboxError(error: unknown, request: SandboxRequest): SandboxError {
  if (error instanceof SandboxError) return error;
  if (request.signal?.aborted) return new SandboxError("aborted", "the sandbox was cancelled while it was made");
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const noSpace = code === "ENOSPC" || code === "EDQUOT";
  const text = error instanceof Error ? error.message : String(error);
  return new SandboxError(noSpace ? "no_space" : "failed", `the sandbox could not be made: ${text}`, { cause: error });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
