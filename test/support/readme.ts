import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A fenced block of a page. */
export interface Block {
  /** The heading that it stands below. */
  readonly heading: string;
  readonly language: string;
  /** True if it is marked to be run: ```sh test. */
  readonly marked: boolean;
  readonly text: string;
}

/** What a reader of the README does, one after the other. */
export type Step = { readonly kind: "block"; readonly block: Block } | { readonly kind: "service" };

const SERVICE_STARTS = "<!-- readme.test: the service starts here -->";

/** The blocks of a page in order, and the place where it starts the service. */
export function readSteps(page: string): readonly Step[] {
  const steps: Step[] = [];
  let heading = "";
  let open: { readonly info: readonly string[]; readonly lines: string[] } | undefined;
  for (const line of page.split("\n")) {
    if (line.startsWith("```")) {
      if (open) steps.push({ kind: "block", block: blockOf(heading, open) });
      open = open ? undefined : { info: line.slice(3).split(" "), lines: [] };
    } else if (open) open.lines.push(line);
    else if (line.startsWith("#")) heading = line.replace(/^#+ /, "");
    else if (line === SERVICE_STARTS) steps.push({ kind: "service" });
  }
  return steps;
}

function blockOf(heading: string, { info, lines }: { info: readonly string[]; lines: readonly string[] }): Block {
  const [language = ""] = info;
  return { heading, language, marked: info.includes("test"), text: lines.join("\n") };
}

export interface ShellOptions {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  /** For the blocks, one file each. */
  readonly scratch: string;
}

/** One terminal: what a block sets, the next one finds. */
export interface Shell {
  /** Runs a block and returns the folder that it ends in. Rejects with everything printed if a command of it fails. */
  run(text: string): Promise<string>;
  close(): Promise<void>;
}

/** Starts a bash that expands aliases as an interactive one does, and ends at the first command that fails. */
export function startShell({ cwd, environment, scratch }: ShellOptions): Shell {
  const bash = spawn("bash", ["--noprofile", "--norc"], { cwd, env: environment, stdio: "pipe" });
  const exited = once(bash, "exit");
  const closed = once(bash, "close").then(() => undefined);
  bash.stdin.on("error", () => {}); // it has ended; `closed` says so
  let output = "";
  for (const stream of [bash.stdout, bash.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  bash.stdin.write("set -eo pipefail\nshopt -s expand_aliases\n");
  let blocks = 0;

  return {
    async run(text) {
      output = "";
      const path = join(scratch, `block-${++blocks}.sh`);
      await writeFile(path, `${text}\n`);
      bash.stdin.write(`. "${path}" </dev/null\nprintf '\\n@@ended in %s\\n' "$PWD"\n`);
      const folder = new Promise<string>((resolve) => {
        const look = () => {
          const found = /^@@ended in (.*)\n/m.exec(output)?.[1];
          if (found === undefined) return;
          bash.stdout.off("data", look);
          resolve(found);
        };
        bash.stdout.on("data", look);
      });
      const ended = await Promise.race([folder, closed]);
      if (ended === undefined) throw new Error(`the shell ended with ${bash.exitCode}:\n${text}\n---\n${output}`);
      return ended;
    },
    async close() {
      bash.stdin.end();
      await exited;
    },
  };
}

/** Makes a `grpcurl` that asks `buf curl`, for machines without it. It knows the flags that the README uses. */
export async function makeGrpcurl(folder: string, buf: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "grpcurl");
  await writeFile(
    path,
    `#!/usr/bin/env bash
set -euo pipefail
flags=(--protocol grpc --http2-prior-knowledge --reflect-header '*')
while [ $# -gt 2 ]; do
  case "$1" in
    -plaintext) shift ;;
    -H) flags+=(-H "$2"); shift 2 ;;
    -d) flags+=(-d "$2"); shift 2 ;;
    *) echo "the stand-in for grpcurl does not know $1" >&2; exit 2 ;;
  esac
done
if [ "$2" = list ]; then exec "${buf}" curl "\${flags[@]}" --list-services "http://$1"; fi
exec "${buf}" curl "\${flags[@]}" "http://$1/$2"
`,
  );
  await chmod(path, 0o755);
}
