import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startTestCluster, type TestCluster } from "./postgres-cluster.js";

declare module "vitest" {
  interface ProvidedContext {
    /** A socket that answers with the connection of the run's cluster, as JSON. */
    postgresBroker: string;
  }
}

/**
 * One cluster for all test files of a run, started when the first asks for it. vitest gives every file a process
 * of its own, and a cluster takes a second, so the files cannot each have one.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "am-broker-"));
  const path = join(folder, "broker");
  let cluster: Promise<TestCluster> | undefined;
  const server = createServer(async (socket) => {
    cluster ??= startTestCluster();
    const answer = await cluster.then(
      ({ connection }) => ({ connection }),
      (error: unknown) => ({ problem: String(error) }),
    );
    socket.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  project.provide("postgresBroker", path);
  return async () => {
    server.close();
    await cluster?.then(
      (started) => started.stop(),
      () => {},
    );
    await rm(folder, { recursive: true, force: true });
  };
}
