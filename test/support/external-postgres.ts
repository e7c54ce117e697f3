import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { POSTGRES_USER, prepareCluster } from "../../server/src/database/postgres-cluster.js";
import { findLauncher } from "../../server/src/database/postgres-launcher.js";
import { endLeftoverPostgres } from "../../server/src/database/postgres-leftover.js";
import { POSTGRES_DATABASE, startPostgres } from "../../server/src/database/postgres-process.js";
import { findPostgresProgram } from "../../server/src/database/postgres-program.js";
import { urlOf } from "./postgres.js";
import { silent } from "./postgres-cluster.js";

/** A Postgres that no server looks after. */
export interface ExternalPostgres {
  /** For DATABASE_URL. */
  readonly url: string;
  /** Ends it with SIGKILL; resolves when none of its processes is left. */
  kill(): Promise<void>;
  /** Starts it again after a kill. */
  restart(): Promise<void>;
  /** Ends it for good and removes its files. */
  remove(): Promise<void>;
}

export async function startExternalPostgres(): Promise<ExternalPostgres> {
  const folder = await mkdtemp(join(tmpdir(), "am-pg-"));
  const [program, launcher] = await Promise.all([findPostgresProgram(join(folder, "lib")), findLauncher()]);
  const cluster = { program, launcher, clusterDir: join(folder, "cluster") };
  await prepareCluster(cluster);
  const start = () => startPostgres({ ...cluster, socketDir: folder, logFile: join(folder, "log") });
  let running = await start();
  return {
    url: urlOf({ host: folder, user: POSTGRES_USER, database: POSTGRES_DATABASE }),
    kill: async () => {
      process.kill(running.pid, "SIGKILL");
      await running.exited;
      await endLeftoverPostgres(cluster.clusterDir, silent);
    },
    restart: async () => {
      running = await start();
    },
    remove: async () => {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
