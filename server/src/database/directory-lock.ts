import { randomBytes } from "node:crypto";
import { type FileHandle, link, open, readdir, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { codeOf } from "./error-code.js";

/**
 * An exclusive lock on a folder that the kernel gives back when its holder dies, however it dies: the holder
 * listens on a unix socket in the folder, and nobody answering means nobody holds it. Unlike a pid in a file
 * this holds between containers that share the folder.
 *
 * Sockets are numbered upwards and only the highest counts. Taking over a dead one means to make the next
 * number, which only one process can (link refuses an existing name); nobody ever removes a socket that
 * another process could be about to judge, so two starters cannot remove each other's.
 */
export interface DirectoryLock {
  release(): Promise<void>;
}

export type LockResult =
  | { readonly kind: "locked"; readonly lock: DirectoryLock }
  /** The holder's pid as it told it; undefined if it is too busy to answer. */
  | { readonly kind: "held"; readonly pid: number | undefined };

const NAME = /^server\.lock\.(\d{1,15})$/;
const UNFINISHED = /^server\.lock\.new-/;
const ANSWER_LIMIT_MS = 1_000;

/** Takes the lock of a folder, or says who holds it. */
export async function lockDirectory(path: string): Promise<LockResult> {
  const handle = await open(path, "r");
  try {
    return await new Folder(path, handle).take();
  } finally {
    await handle.close();
  }
}

class Folder {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #unfinished = `server.lock.new-${randomBytes(6).toString("hex")}`;

  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  async take(): Promise<LockResult> {
    const server = await listen(this.#socketPath(this.#unfinished));
    let result: LockResult | undefined;
    try {
      result = await this.#takeHighest(server);
      return result;
    } finally {
      await rm(join(this.#path, this.#unfinished), { force: true });
      if (result?.kind !== "locked") {
        server.close();
      }
    }
  }

  async #takeHighest(server: Server): Promise<LockResult> {
    for (;;) {
      const highest = await this.#highest();
      const holder = await this.#ask(nameOf(highest));
      if (holder.alive) {
        return { kind: "held", pid: holder.pid };
      }
      const mine = highest + 1;
      // someone slower than two others may make a number that is not the highest any more
      if ((await this.#make(nameOf(mine))) && (await this.#highest()) === mine) {
        await this.#removeDead(mine);
        return { kind: "locked", lock: { release: () => close(server) } };
      }
    }
  }

  async #make(name: string): Promise<boolean> {
    try {
      await link(join(this.#path, this.#unfinished), join(this.#path, name));
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") {
        return false;
      }
      throw error;
    }
  }

  async #highest(): Promise<number> {
    const names = await readdir(this.#path);
    return Math.max(0, ...names.map(numberOf));
  }

  async #removeDead(mine: number): Promise<void> {
    for (const name of await readdir(this.#path)) {
      const old = NAME.test(name) && numberOf(name) < mine;
      const crashed = UNFINISHED.test(name) && name !== this.#unfinished && !(await this.#ask(name)).alive;
      if (old || crashed) {
        await rm(join(this.#path, name), { force: true });
      }
    }
  }

  #ask(name: string): Promise<Holder> {
    return new Promise((resolve) => {
      const socket = connect(this.#socketPath(name)).setEncoding("utf8").setTimeout(ANSWER_LIMIT_MS);
      let said = "";
      let alive = true;
      socket.on("data", (text: string) => {
        said += text;
      });
      socket.on("timeout", () => socket.destroy());
      socket.on("error", (error) => {
        // anything else, such as a full queue (EAGAIN), means that there is someone
        alive = !["ECONNREFUSED", "ENOENT"].includes(codeOf(error));
      });
      socket.on("close", () => resolve(alive ? { alive, pid: Number(said) || undefined } : { alive }));
    });
  }

  /** A socket's path may have 107 bytes; through the open folder it is short wherever the folder lies. */
  #socketPath(name: string): string {
    return process.platform === "linux" ? `/proc/self/fd/${this.#handle.fd}/${name}` : join(this.#path, name);
  }
}

type Holder = { readonly alive: false } | { readonly alive: true; readonly pid: number | undefined };

function nameOf(number: number): string {
  return `server.lock.${number}`;
}

function numberOf(name: string): number {
  return Number(NAME.exec(name)?.[1] ?? 0);
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.end(`${process.pid}\n`);
    });
    server.unref();
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
