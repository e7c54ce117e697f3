import { closeSync, openSync, readFileSync } from "node:fs";
import type { SupervisorSpec } from "./messages.js";
import { Supervisor } from "./supervisor.js";

/**
 * The supervisor of one run: `node supervisor.mjs STATE_DIR`. It is detached from the server, has no database
 * and no packages, and its environment is that of the agent. Everything it knows is in its state folder.
 */
const stateDir = process.argv[2];
if (!stateDir) throw new Error("usage: supervisor STATE_DIR");

process.chdir(stateDir); // keeps the socket's path short and holds no other folder
process.title = "agent-manager-supervisor";
for (const signal of ["SIGHUP", "SIGINT"] as const) process.on(signal, () => {}); // the server's terminal is not ours

closeSync(openSync("lock", "wx", 0o600)); // one launch per folder: a second supervisor dies here
// written by the server that spawned us, in a folder only it can write
const spec = JSON.parse(readFileSync("spec.json", "utf8")) as SupervisorSpec;
const supervisor = new Supervisor(spec);
process.on("SIGTERM", () => supervisor.stop("shutdown"));
process.exitCode = await supervisor.run();
