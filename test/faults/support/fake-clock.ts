import { readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A clock for processes of a test, by libfaketime; the machine's own is left alone. */
export class FakeClock {
  private constructor(
    readonly path: string,
    readonly library: string,
  ) {}

  /** The library's path; undefined if it is not installed. */
  static async findLibrary(): Promise<string | undefined> {
    const roots = [process.env.FAULT_FAKETIME ?? "", "/usr/lib", "/usr/local/lib"].filter(Boolean);
    for (const root of roots) {
      for (const folder of [root, ...(await readdir(root).catch(() => [])).map((name) => join(root, name))]) {
        const names = await readdir(join(folder, "faketime")).catch((): string[] => []);
        if (names.includes("libfaketime.so.1")) return join(folder, "faketime", "libfaketime.so.1");
      }
    }
    return undefined;
  }

  static async create(path: string, library: string): Promise<FakeClock> {
    const clock = new FakeClock(path, library);
    await clock.jump(0);
    return clock;
  }

  /** For the processes that are to have this clock. Timers run on: only the time of day is faked. */
  get environment(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.library,
      FAKETIME_TIMESTAMP_FILE: this.path,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  /** Sets the clock so many seconds before or after the true time. */
  async jump(seconds: number): Promise<void> {
    const sign = seconds < 0 ? "-" : "+";
    await writeFile(`${this.path}.new`, `${sign}${Math.abs(seconds)}\n`);
    await rename(`${this.path}.new`, this.path);
  }
}
