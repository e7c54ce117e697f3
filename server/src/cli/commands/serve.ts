import { join } from "node:path";
import type { Context } from "../context.js";
import { collect, milliseconds } from "../options.js";
import type { RegisterCommand } from "../register.js";

interface ServeFlags {
  readonly listen?: string;
  readonly databaseUrl?: string;
  readonly logLevel?: string;
  readonly exitWhenIdle?: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly allowOrigin?: readonly string[];
  readonly allowHost?: readonly string[];
}

export const addServeCommand: RegisterCommand = (program, withContext) => {
  program
    .command("serve")
    .description("Run the service, with its own database unless --database-url names one.")
    .option("--listen <host:port>", "where to listen (default: 127.0.0.1:7717)")
    .option("--database-url <url>", "a Postgres to use instead of the embedded one (DATABASE_URL)")
    .option("--log-level <level>", "silent, error, warn, info or debug")
    .option("--exit-when-idle <duration>", "end when there was no call and no run for this long", milliseconds)
    .option("--tls-cert <file>", "certificate in PEM; needed to listen beyond this machine")
    .option("--tls-key <file>", "its key in PEM")
    .option("--allow-origin <origin>", "let pages of this origin call; may be repeated", collect)
    .option("--allow-host <host>", "accept this Host header; may be repeated", collect)
    .addHelpText(
      "after",
      `
Examples:
  $ agent-manager serve
  $ agent-manager serve --listen 0.0.0.0:7717 --tls-cert cert.pem --tls-key key.pem
  $ DATABASE_URL=postgres://... agent-manager serve --data-dir /var/lib/agent-manager`,
    )
    .action(withContext(serveUntilStopped));
};

async function serveUntilStopped(context: Context, flags: ServeFlags): Promise<void> {
  const { exitWhenIdle, ...rest } = pickFlags(flags);
  // Loaded here only: no other command pays for the service's code.
  const { serve } = await import("../../main.js");
  const server = await serve({
    ...rest,
    ...(exitWhenIdle === undefined ? {} : { exitWhenIdleMs: exitWhenIdle }),
    ...(context.globals.dataDir === undefined ? {} : { dataDir: context.globals.dataDir }),
  });
  context.terminal.note(
    `agent-manager is ready at ${server.url} (data in ${server.dataDir}, token in ${join(server.dataDir, "token")})`,
  );
  let asked = false;
  const forget = context.terminal.onInterrupt(() => {
    if (asked) {
      process.exit(130); // a second signal does not wait for a clean end
    }
    asked = true;
    void server.close();
  });
  await server.closed;
  forget();
}

/** The flags of this command alone: commander passes the program's options along. */
function pickFlags(flags: ServeFlags): ServeFlags {
  const { listen, databaseUrl, logLevel, exitWhenIdle, tlsCert, tlsKey, allowOrigin, allowHost } = flags;
  const all = { listen, databaseUrl, logLevel, exitWhenIdle, tlsCert, tlsKey, allowOrigin, allowHost };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
