import { open } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { encodeMessage, MessageReader, type ServerMessage, type SupervisorMessage } from "./supervisor/messages.js";

/** What the kernel takes as a socket's path, less one for the zero at its end. */
const MAX_SOCKET_PATH = 107;

export interface ConnectRequest {
  readonly socketPath: string;
  readonly nonce: string;
  readonly epoch: bigint;
  readonly onSpooled: () => void;
  readonly onClose: () => void;
}

/** A connection to a run's supervisor. It carries control only; output is read from the spool. */
export class SupervisorConnection {
  constructor(readonly socket: Socket) {}

  send(message: ServerMessage): void {
    if (this.socket.writable) this.socket.write(encodeMessage(message));
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Connects and says hello; rejects if nothing listens or the supervisor refuses us. */
export async function connectSupervisor(request: ConnectRequest): Promise<SupervisorConnection> {
  const socket = await connectPath(request.socketPath);
  const reader = new MessageReader<SupervisorMessage>();
  return new Promise((resolve, reject) => {
    const connection = new SupervisorConnection(socket);
    socket.setEncoding("utf8");
    socket.on("error", reject);
    socket.on("close", () => {
      reject(new Error("the supervisor closed the connection"));
      request.onClose();
    });
    socket.on("data", (chunk: string) => {
      for (const message of reader.read(chunk)) {
        if (message.type === "hello") resolve(connection);
        request.onSpooled();
      }
    });
    connection.send({ type: "hello", nonce: request.nonce, epoch: String(request.epoch) });
  });
}

async function connectPath(path: string): Promise<Socket> {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return connected(createConnection(path));
  // a long data directory: name the folder by a descriptor of it
  const folder = await open(dirname(path), "r");
  try {
    return await connected(createConnection(`/proc/self/fd/${folder.fd}/${basename(path)}`));
  } finally {
    await folder.close();
  }
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}
