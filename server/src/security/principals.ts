import { createHash, timingSafeEqual } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Principal } from "../domain/principal.js";
import { loadOrCreateToken } from "./token.js";

/** Tells who holds a token. */
export interface Authenticator {
  /** The holder of the token, or undefined if nobody holds it. */
  authenticate(token: string): Principal | undefined;
}

/** A principal and the SHA-256 of its token; tokens themselves are kept nowhere. */
export interface Credential {
  readonly principal: Principal;
  readonly sha256: Uint8Array;
}

/** The holder of the token in the data directory, who may do everything. */
const localPrincipal: Principal = { name: "local", role: "admin" };

/**
 * Makes the authenticator of a data directory: its own token (created at the first start), and those of
 * `tokens.json`, if there is one: [{"name": "ci", "role": "operator", "sha256": "<hex>"}].
 */
export async function loadAuthenticator(dataDir: string): Promise<Authenticator> {
  const local = { principal: localPrincipal, sha256: sha256(await loadOrCreateToken(dataDir)) };
  return createAuthenticator([local, ...(await readCredentials(join(dataDir, "tokens.json")))]);
}

export function createAuthenticator(credentials: readonly Credential[]): Authenticator {
  return {
    authenticate(token) {
      const presented = sha256(token);
      // All are compared, each in constant time: the time tells neither which one matched nor how far.
      const matching = credentials.filter((credential) => timingSafeEqual(credential.sha256, presented));
      return matching[0]?.principal;
    },
  };
}

/** The form in which a token is stored and compared. */
export function sha256(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

const credentialFile = z
  .array(
    z.strictObject({
      name: z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/, "must be 1 to 63 letters, digits or . _ @ -")
        .refine((name) => name !== localPrincipal.name, "'local' is the name of the data directory's own token"),
      role: z.enum(["viewer", "operator", "reviewer", "admin"]),
      sha256: z.string().regex(/^[0-9a-fA-F]{64}$/, "must be the SHA-256 of the token as 64 hexadecimal digits"),
    }),
  )
  .refine((entries) => new Set(entries.map(({ name }) => name)).size === entries.length, "names must differ")
  .refine(
    (entries) => new Set(entries.map((entry) => entry.sha256.toLowerCase())).size === entries.length,
    "tokens must differ",
  );

async function readCredentials(path: string): Promise<readonly Credential[]> {
  const text = await readOwnFile(path);
  if (text === undefined) return [];
  const parsed = credentialFile.safeParse(parseJson(text, path));
  if (!parsed.success) throw new Error(`${path} is wrong: ${describeIssue(parsed.error)}; correct or remove it`);
  return parsed.data.map(({ name, role, sha256: hex }) => ({
    principal: { name, role },
    sha256: Buffer.from(hex, "hex"),
  }));
}

async function readOwnFile(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path);
    // It holds hashes only, so others may read it; who can write it can make themselves an administrator.
    const { mode } = await file.stat();
    if ((mode & 0o022) !== 0) throw new Error(`${path} can be changed by other users; run: chmod 600 ${path}`);
    return await file.readFile("utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is no JSON; correct or remove it`, { cause: error });
  }
}

function describeIssue({ issues: [issue] }: z.ZodError): string {
  if (issue === undefined) return "unknown problem";
  return issue.path.length === 0 ? issue.message : `entry ${issue.path.join(".")}: ${issue.message}`;
}
