import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  ACK,
  END_STREAM,
  type Frame,
  FrameReader,
  FrameType,
  frame,
  headersFrame,
  preface,
  windowUpdate,
} from "./http2-frames.js";

const REPLENISH_BYTES = 512 * 1024 * 1024;

export interface LightRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The gRPC message. */
  readonly body: Buffer;
  /** Each DATA frame's bytes; they are only valid during the call. */
  readonly onData: (bytes: Buffer) => void;
  readonly onEnd: () => void;
}

/** One HTTP/2 connection that reads gRPC streams and decodes nothing. */
export class LightConnection {
  readonly #requests = new Map<number, LightRequest>();
  readonly #frames = new FrameReader();
  #nextStream = 1;
  #received = 0;

  private constructor(
    readonly socket: Socket,
    readonly authority: string,
  ) {
    socket.write(preface());
    socket.on("data", (chunk: Buffer) => this.#frames.push(chunk, (received) => this.#take(received)));
    socket.on("close", () => this.#endAll());
    socket.on("error", () => socket.destroy());
  }

  static async open(url: string): Promise<LightConnection> {
    const { hostname, port, host } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.setNoDelay(true);
    await once(socket, "connect");
    return new LightConnection(socket, host);
  }

  request(request: LightRequest): void {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#requests.set(stream, request);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(request.body.length, 1);
    this.socket.write(
      Buffer.concat([
        headersFrame(stream, {
          ":method": "POST",
          ":scheme": "http",
          ":path": request.path,
          ":authority": this.authority,
          "content-type": "application/grpc",
          te: "trailers",
          ...request.headers,
        }),
        frame(FrameType.data, END_STREAM, stream, Buffer.concat([prefix, request.body])),
      ]),
    );
  }

  close(): void {
    this.socket.destroy();
  }

  #take({ type, flags, stream, payload }: Frame): void {
    switch (type) {
      case FrameType.data:
        this.#requests.get(stream)?.onData(payload);
        this.#replenish(payload.length);
        break;
      case FrameType.settings:
        if ((flags & ACK) === 0) this.socket.write(frame(FrameType.settings, ACK, 0, Buffer.alloc(0)));
        break;
      case FrameType.ping:
        if ((flags & ACK) === 0) this.socket.write(frame(FrameType.ping, ACK, 0, payload));
        break;
      case FrameType.goAway:
        this.#endAll();
        break;
      default:
    }
    const ends = type === FrameType.data || type === FrameType.headers;
    if (type === FrameType.reset || (ends && (flags & END_STREAM) !== 0)) this.#end(stream);
  }

  #replenish(bytes: number): void {
    this.#received += bytes;
    if (this.#received < REPLENISH_BYTES) return;
    this.socket.write(windowUpdate(0, this.#received));
    this.#received = 0;
  }

  #end(stream: number): void {
    const request = this.#requests.get(stream);
    this.#requests.delete(stream);
    request?.onEnd();
  }

  #endAll(): void {
    for (const stream of [...this.#requests.keys()]) this.#end(stream);
  }
}
