import type { StopCause } from "../supervisor/messages.js";

/** What the supervisor itself records between the agent's lines; the payload of a control record. */
export type ControlEntry =
  | { readonly type: "started"; readonly pid: number; readonly host: string }
  | { readonly type: "stopRequested"; readonly cause: StopCause }
  /** The disk stayed full for longer than allowed: this much output could not be kept. */
  | { readonly type: "outputLost"; readonly bytes: number }
  | {
      readonly type: "exited";
      readonly code: number | null;
      readonly signal: string | null;
      readonly cause: StopCause | null;
      readonly orphansKilled: number;
      /** Set when the program could not be started at all. */
      readonly spawnError: string | null;
    };

export function encodeControl(entry: ControlEntry): Buffer {
  return Buffer.from(JSON.stringify(entry));
}

export function decodeControl(payload: Uint8Array): ControlEntry {
  // only our own supervisor writes control records, and the checksum vouches for the bytes
  return JSON.parse(Buffer.from(payload).toString("utf8")) as ControlEntry;
}

/** The payload of a stdin record: the id of the write, a line end, the text as the agent got it. */
export function encodeStdin(id: string, text: string): Buffer {
  return Buffer.from(`${id}\n${text}`);
}

export function decodeStdin(payload: Buffer): { readonly id: string; readonly text: Buffer } {
  const end = payload.indexOf(10);
  return { id: payload.subarray(0, end).toString("utf8"), text: payload.subarray(end + 1) };
}
