import { createConnection, createServer, type Server, type Socket } from "node:net";

/** A way to a server that breaks when a test wants it to. */
export class TcpProxy {
  /** How many bytes of the server's answers a new connection lets through before it breaks. */
  budgetBytes: () => number = () => Number.POSITIVE_INFINITY;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #connections = 0;

  private constructor(readonly targetPort: number) {
    this.#server = createServer((client) => this.#serve(client));
  }

  static async open(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy does not listen");
    return `http://127.0.0.1:${address.port}`;
  }

  /** How many connections there have been. */
  get connections(): number {
    return this.#connections;
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): Promise<void> {
    this.cutAll();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #serve(client: Socket): void {
    this.#connections += 1;
    const upstream = createConnection(this.targetPort, "127.0.0.1");
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", cut).on("close", () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    client.pipe(upstream);
    let left = this.budgetBytes();
    upstream.on("data", (chunk: Buffer) => {
      const through = chunk.subarray(0, Math.min(chunk.length, left));
      left -= through.length;
      if (!client.write(through, left <= 0 ? cut : undefined)) {
        upstream.pause();
        client.once("drain", () => upstream.resume());
      }
    });
  }
}
