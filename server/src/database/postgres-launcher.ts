import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { execa } from "execa";
import { StartError } from "../domain/start-error.js";

/**
 * How to start a Postgres program as this user. Postgres refuses to run as root, and initdb refuses a user
 * that the system does not know; it shall also end when the server is killed and cannot end it.
 */
export interface PostgresLauncher {
  readonly name: "direct" | "user namespace" | "other user";
  /** Program and arguments put in front; each of them replaces itself, so the pid stays the same. */
  readonly prefix: readonly string[];
  /** Who must own the cluster's files. */
  readonly owner: Account;
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The kernel sends this when the thread that started Postgres dies: a fast shutdown. */
const DIE_WITH_PARENT = ["--pdeathsig", "SIGINT"];

/** Finds, by trying, the first way that this machine allows. */
export async function findLauncher(): Promise<PostgresLauncher> {
  const self = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  if (self.uid !== 0 && hasAccount()) {
    const setpriv = ["setpriv", ...DIE_WITH_PARENT];
    return { name: "direct", prefix: (await works(setpriv)) ? setpriv : [], owner: self };
  }
  const account = await findAccount();
  const namespace = userNamespace(account);
  if (await works(namespace)) {
    return { name: "user namespace", prefix: namespace, owner: self };
  }
  const otherUser = asOtherUser(account);
  if (self.uid === 0 && (await works(otherUser))) {
    return { name: "other user", prefix: otherUser, owner: account };
  }
  throw new StartError(
    `the embedded Postgres cannot run as ${self.uid === 0 ? "root" : `user ${self.uid}, which has no account`} on this ` +
      "machine (user namespaces are denied): start the server as an ordinary user, or set DATABASE_URL",
  );
}

function hasAccount(): boolean {
  try {
    return userInfo().uid >= 0;
  } catch {
    return false;
  }
}

/** Files stay ours on disk; only Postgres sees another user. Works below folders that only root can enter. */
function userNamespace({ uid, gid }: Account): readonly string[] {
  return ["unshare", "--user", `--map-user=${uid}`, `--map-group=${gid}`, "setpriv", ...DIE_WITH_PARENT];
}

/** Containers deny user namespaces by default. The one capability lets Postgres reach its files wherever they are. */
function asOtherUser({ uid, gid }: Account): readonly string[] {
  const capability = "-all,+dac_override";
  const identity = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
  return ["setpriv", ...identity, `--inh-caps=${capability}`, `--ambient-caps=${capability}`, ...DIE_WITH_PARENT];
}

async function works(prefix: readonly string[]): Promise<boolean> {
  const [program = "", ...args] = prefix;
  const { failed } = await execa(program, [...args, "true"], { reject: false, stdio: "ignore" });
  return !failed;
}

/** An account without rights; initdb wants one that has a name. */
async function findAccount(): Promise<Account> {
  const lines = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n").map((line) => line.split(":"));
  for (const wanted of ["postgres", "nobody", "daemon"]) {
    const line = lines.find(([name]) => name === wanted);
    if (line !== undefined && Number(line[2]) > 0) {
      return { uid: Number(line[2]), gid: Number(line[3]) };
    }
  }
  return { uid: 65534, gid: 65534 };
}
