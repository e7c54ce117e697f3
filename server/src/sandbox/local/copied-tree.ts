import { chmod, lstat, readdir, unlink } from "node:fs/promises";
import { makeGitPrivate } from "./private-git.js";

interface CopiedTreeRequest {
  readonly projectRoot: string;
  readonly workspace: string;
  readonly signal?: AbortSignal;
}

/** Finishes a fresh copy: no sockets, pipes and devices, no way back into the original's git. Returns notes. */
export async function settleCopy(request: CopiedTreeRequest): Promise<readonly string[]> {
  await chmod(request.workspace, (await lstat(request.workspace)).mode | 0o700);
  const special: string[] = [];
  await visit("", { ...request, special });
  if (special.length === 0) return [];
  const more = special.length > 5 ? ` and ${special.length - 5} more` : "";
  return [`sockets, pipes and devices are left out: ${special.slice(0, 5).join(", ")}${more}`];
}

/** `below` holds bytes as latin1 text: names need not be UTF-8. */
async function visit(below: string, request: CopiedTreeRequest & { readonly special: string[] }): Promise<void> {
  request.signal?.throwIfAborted();
  for (const entry of await readdir(at(request.workspace, below), { withFileTypes: true, encoding: "buffer" })) {
    const name = entry.name.toString("latin1");
    const path = `${below}/${name}`;
    if (name === ".git") {
      await makeGitPrivate({
        ...request,
        folder: `${request.workspace}${Buffer.from(below, "latin1").toString()}`,
        original: `${request.projectRoot}${Buffer.from(below, "latin1").toString()}`,
      });
    } else if (entry.isDirectory()) {
      await visit(path, request);
    } else if (!entry.isFile() && !entry.isSymbolicLink()) {
      request.special.push(Buffer.from(path.slice(1), "latin1").toString());
      await unlink(at(request.workspace, path));
    }
  }
}

function at(workspace: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(workspace), Buffer.from(path, "latin1")]);
}
