import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { TaskService } from "@agent-manager/sdk/proto";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bearer, someId, startListener, tokens } from "../../../test/support/listener.js";

const run = promisify(execFile);
let folder: string;
let server: Pair;
let client: Pair;

interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "am-tls-"));
  server = await selfSigned("server");
  client = await selfSigned("client");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("under TLS", () => {
  test("one port answers gRPC over HTTP/2 and Connect over HTTP/1.1", async () => {
    await using listener = await startListener({ tls: server });
    expect(listener.url).toMatch(/^https:/);
    const options = { baseUrl: listener.url, interceptors: [bearer(tokens.admin)], nodeOptions: { ca: server.cert } };
    const grpc = createGrpcTransport(options);
    const connect = createConnectTransport({ ...options, httpVersion: "1.1" });
    for (const transport of [grpc, connect]) {
      const { task } = await createClient(TaskService, transport).getTask({ taskId: someId });
      expect(task?.taskId).toBe(someId);
    }
  });

  test("a client authority lets in only clients with its certificate", async () => {
    await using listener = await startListener({ tls: { ...server, clientCa: client.cert } });
    const call = (identity: Partial<Pair>) => {
      const nodeOptions = { ca: server.cert, ...identity };
      const transport = createGrpcTransport({
        baseUrl: listener.url,
        interceptors: [bearer(tokens.admin)],
        nodeOptions,
      });
      return createClient(TaskService, transport).getTask({ taskId: someId });
    };
    await expect(call({})).rejects.toThrow();
    await expect(call(server)).rejects.toThrow();
    expect((await call(client)).task?.taskId).toBe(someId);
  });

  test("a connection in clear does not disturb the others", async () => {
    await using listener = await startListener({ tls: server });
    await expect(fetch(`http://127.0.0.1:${listener.port}/`)).rejects.toThrow();
    const options = { baseUrl: listener.url, interceptors: [bearer(tokens.admin)], nodeOptions: { ca: server.cert } };
    expect(await createClient(TaskService, createGrpcTransport(options)).getTask({ taskId: someId })).toBeDefined();
  });
});

async function selfSigned(name: string): Promise<Pair> {
  const [keyFile, certFile] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  const output = ["-keyout", keyFile, "-out", certFile];
  await run("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "1",
    ...subject,
    ...output,
  ]);
  return { key: await readFile(keyFile), cert: await readFile(certFile) };
}
