import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Runs what follows as an ordinary user; only root can become someone else. */
export const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] as const;

/**
 * True if this process can become an ordinary user who can read this repository: a clone in root's home, which
 * others cannot enter, cannot be used by anyone else.
 */
export const canBecomeNobody = process.getuid?.() === 0 && readsRepository();

function readsRepository(): boolean {
  const [program, ...args] = asNobody;
  return spawnSync(program, [...args, "test", "-r", fileURLToPath(import.meta.url)]).status === 0;
}
