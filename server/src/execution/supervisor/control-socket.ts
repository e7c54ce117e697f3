import { createServer, type Server, type Socket } from "node:net";
import { encodeMessage, MessageReader, type ServerMessage, type SupervisorMessage } from "./messages.js";

export interface ControlSocketOptions {
  readonly path: string;
  readonly nonce: string;
  readonly hello: () => SupervisorMessage;
  readonly receive: (message: ServerMessage) => void;
}

/**
 * The run's unix socket. A connection says hello first; with another run's nonce, or with an epoch older than
 * the newest seen, it is closed, so that a server that lost the run cannot steer it.
 */
export class ControlSocket {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those that have said hello. */
  readonly #clients = new Set<Socket>();
  #epoch = -1n;

  constructor(readonly options: ControlSocketOptions) {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.options.path, resolve);
    });
  }

  broadcast(message: SupervisorMessage): void {
    const text = encodeMessage(message);
    for (const client of this.#clients) client.write(text);
  }

  close(): Promise<void> {
    // also those whose hello is still on its way: one left open would keep this process, and its server waiting
    for (const socket of this.#sockets) socket.destroySoon();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    const reader = new MessageReader<ServerMessage>();
    socket.setEncoding("utf8");
    socket.on("error", () => socket.destroy());
    this.#sockets.add(socket);
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#clients.delete(socket);
    });
    socket.on("data", (chunk: string) => {
      try {
        for (const message of reader.read(chunk)) this.#handle(socket, message);
      } catch {
        socket.destroy(); // not JSON: not our server
      }
    });
  }

  #handle(socket: Socket, message: ServerMessage): void {
    if (message.type === "hello") this.#greet(socket, message);
    else if (this.#clients.has(socket)) this.options.receive(message);
    else socket.destroy();
  }

  #greet(socket: Socket, { nonce, epoch }: Extract<ServerMessage, { type: "hello" }>): void {
    if (nonce !== this.options.nonce || BigInt(epoch) < this.#epoch) {
      socket.destroy();
      return;
    }
    if (BigInt(epoch) > this.#epoch) for (const older of this.#clients) older.end();
    this.#epoch = BigInt(epoch);
    this.#clients.add(socket);
    socket.write(encodeMessage(this.options.hello()));
  }
}
