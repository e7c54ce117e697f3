import { access } from "node:fs/promises";
import { join } from "node:path";
import { AuthenticationState } from "@agent-manager/sdk/proto";
import { execa } from "execa";
import type { Detection, DetectRequest } from "../runner.js";

export const credentialVariables = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"] as const;
export const installHint = "install it with: npm install -g @anthropic-ai/claude-code";

const timeoutMs = 10_000;

/** Asks the program for its version and looks for a credential. Sends no prompt and never throws. */
export async function detect(request: DetectRequest): Promise<Detection> {
  const [program, ...args] = request.command;
  const answer = await askVersion(program, args, request);
  if (answer.kind === "failed") {
    const problem = `${program} does not answer --version: ${answer.problem}; ${installHint}`;
    return { installed: false, version: "", path: program, authentication: AuthenticationState.UNSPECIFIED, problem };
  }
  const authentication = await findCredential(request.environment);
  return {
    installed: true,
    version: answer.version,
    path: program,
    authentication,
    problem: signInProblem(authentication),
  };
}

type VersionAnswer =
  | { readonly kind: "version"; readonly version: string }
  | { readonly kind: "failed"; readonly problem: string };

async function askVersion(program: string, args: readonly string[], request: DetectRequest): Promise<VersionAnswer> {
  try {
    const result = await execa(program, [...args, "--version"], {
      env: request.environment,
      extendEnv: false,
      stdin: "ignore",
      timeout: timeoutMs,
      forceKillAfterDelay: 1_000,
      maxBuffer: 65_536,
      reject: false,
      ...(request.signal === undefined ? {} : { cancelSignal: request.signal }),
    });
    if (result.failed)
      return { kind: "failed", problem: firstLine(result.stderr) || firstLine(result.shortMessage ?? "it failed") };
    return readVersion(result.stdout);
  } catch (error) {
    return { kind: "failed", problem: error instanceof Error ? firstLine(error.message) : "it could not be started" };
  }
}

/** "2.1.197 (Claude Code)": whatever follows the number is kept out of the version. */
function readVersion(stdout: string): VersionAnswer {
  const version = /\d+\.\d+\.\d+[^\s]*/.exec(stdout)?.[0];
  if (version === undefined)
    return { kind: "failed", problem: `its answer holds no version: ${JSON.stringify(firstLine(stdout))}` };
  return { kind: "version", version };
}

async function findCredential(environment: Readonly<Record<string, string>>): Promise<AuthenticationState> {
  if (credentialVariables.some((name) => environment[name])) return AuthenticationState.SIGNED_IN;
  const folder =
    environment.CLAUDE_CONFIG_DIR ?? (environment.HOME === undefined ? undefined : join(environment.HOME, ".claude"));
  if (folder !== undefined && (await exists(join(folder, ".credentials.json")))) return AuthenticationState.SIGNED_IN;
  // On macOS the credential is in the keychain, which is not asked: it may show a dialog.
  return process.platform === "darwin" ? AuthenticationState.UNSPECIFIED : AuthenticationState.SIGNED_OUT;
}

function signInProblem(authentication: AuthenticationState): string {
  if (authentication !== AuthenticationState.SIGNED_OUT) return "";
  return "not signed in: set ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN from `claude setup-token`, in the server's environment";
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function firstLine(text: string): string {
  return (text.trim().split("\n")[0] ?? "").slice(0, 300);
}
