import { crc32 } from "node:zlib";

/**
 * One record of a spool. On disk:
 *
 *   length u32 | kind u8 | flags u8 | monotonic_ns u64 | wall_ms u64 | payload | crc32 u32
 *
 * big-endian, length being that of the payload, the checksum over everything before it. A payload of output
 * is one line without its "\n"; the flags say where that "\n" is missing, so that the bytes come back exactly.
 */
export interface SpoolRecord {
  readonly kind: RecordKind;
  readonly flags: number;
  readonly monotonicNs: bigint;
  readonly wallMs: number;
  readonly payload: Buffer;
}

export const RecordKind = { stdout: 1, stderr: 2, stdin: 3, control: 4 } as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

/** The line goes on in the next record of the same stream. */
export const PARTIAL = 1;
/** The stream ended without a line end. */
export const UNTERMINATED = 2;

/** Longer lines are split into partial records of this many bytes. */
export const MAX_PAYLOAD_BYTES = 256 * 1024;

const HEADER_BYTES = 22;
const CHECKSUM_BYTES = 4;
/** What no valid record exceeds; a larger length is damage, not a long line. */
const LENGTH_LIMIT = 64 * 1024 * 1024;

export function encodeRecord(record: SpoolRecord): Buffer {
  const length = record.payload.length;
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + length + CHECKSUM_BYTES);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt8(record.kind, 4);
  bytes.writeUInt8(record.flags, 5);
  bytes.writeBigUInt64BE(record.monotonicNs, 6);
  bytes.writeBigUInt64BE(BigInt(record.wallMs), 14);
  record.payload.copy(bytes, HEADER_BYTES);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, HEADER_BYTES + length)), HEADER_BYTES + length);
  return bytes;
}

export type DecodedRecord =
  | { readonly kind: "record"; readonly record: SpoolRecord; readonly sizeBytes: number }
  /** The bytes end within the record: it is still being written, or the writer died in it. */
  | { readonly kind: "incomplete" }
  | { readonly kind: "damaged" };

/** Decodes the record that starts at `offset`. The payload shares memory with `bytes`. */
export function decodeRecord(bytes: Buffer, offset: number): DecodedRecord {
  if (bytes.length - offset < HEADER_BYTES) return { kind: "incomplete" };
  const length = bytes.readUInt32BE(offset);
  if (length > LENGTH_LIMIT) return { kind: "damaged" };
  const sizeBytes = HEADER_BYTES + length + CHECKSUM_BYTES;
  if (bytes.length - offset < sizeBytes) return { kind: "incomplete" };
  const checksum = bytes.readUInt32BE(offset + HEADER_BYTES + length);
  if (crc32(bytes.subarray(offset, offset + HEADER_BYTES + length)) !== checksum) return { kind: "damaged" };
  const kind = bytes.readUInt8(offset + 4);
  if (!isRecordKind(kind)) return { kind: "damaged" };
  return {
    kind: "record",
    sizeBytes,
    record: {
      kind,
      flags: bytes.readUInt8(offset + 5),
      monotonicNs: bytes.readBigUInt64BE(offset + 6),
      wallMs: Number(bytes.readBigUInt64BE(offset + 14)),
      payload: bytes.subarray(offset + HEADER_BYTES, offset + HEADER_BYTES + length),
    },
  };
}

function isRecordKind(kind: number): kind is RecordKind {
  return kind >= RecordKind.stdout && kind <= RecordKind.control;
}
