import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import type { FaultSite } from "./fault-site.js";
import { until } from "./processes.js";

const MEGABYTE = 1024 * 1024;

/** A file system that is soon full. */
export class SmallDisk {
  private constructor(readonly path: string) {}

  /** True where this user may mount. */
  static async available(): Promise<boolean> {
    const { failed } = await execa("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { reject: false });
    return process.getuid?.() === 0 && !failed;
  }

  /** Mounts one. It goes when every server has gone. */
  static async mount(site: FaultSite, path: string, megabytes: number): Promise<SmallDisk> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await execa("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=700`, "tmpfs", path]);
    const disk = new SmallDisk(path);
    site.onRelease(() => disk.unmount());
    return disk;
  }

  async grow(megabytes: number): Promise<void> {
    await execa("mount", ["-o", `remount,size=${megabytes}m`, this.path]);
  }

  /** Leaves no more than this much free. */
  async fill(freeMegabytes: number): Promise<void> {
    const size = (await this.#freeBytes()) - freeMegabytes * MEGABYTE;
    await writeFile(join(this.path, "ballast"), Buffer.alloc(Math.max(0, size), 1));
  }

  async empty(): Promise<void> {
    await rm(join(this.path, "ballast"));
  }

  awaitFull(): Promise<void> {
    return until("the disk is full", async () => (await this.#freeBytes()) < MEGABYTE / 4);
  }

  async unmount(): Promise<void> {
    const isMounted = !(await execa("mountpoint", ["-q", this.path], { reject: false })).failed;
    if (isMounted) await execa("umount", [this.path]);
  }

  async #freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }
}
