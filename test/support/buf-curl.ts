import { fileURLToPath } from "node:url";
import { execa } from "execa";

const buf = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));

export interface BufCurlOptions {
  readonly url: string;
  /** Sent to reflection; none if empty. */
  readonly token: string;
  /** Sent to the method. Default: the same. */
  readonly callToken?: string;
  readonly protocol?: "grpc" | "grpcweb" | "connect";
  readonly reflection?: "grpc-v1" | "grpc-v1alpha";
  /** A method to call with `data`, for example "RunService/GetRun"; otherwise `args` say what to do. */
  readonly method?: string;
  readonly data?: unknown;
  readonly args?: readonly string[];
}

export interface BufCurlResult {
  /** The gRPC code shifted left by three bits, or buf's own below 8. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Calls a server with the stock `buf curl`, which learns the API from reflection alone. */
export async function bufCurl(options: BufCurlOptions): Promise<BufCurlResult> {
  const { url, token, callToken = token, protocol = "grpc", reflection = "grpc-v1", method, data, args = [] } = options;
  const result = await execa(
    buf,
    [
      "curl",
      ...bearerFlag("--reflect-header", token),
      ...bearerFlag("--header", callToken),
      ...["--protocol", protocol, "--reflect-protocol", reflection, "--http2-prior-knowledge"],
      ...(data === undefined ? [] : ["--data", JSON.stringify(data)]),
      ...args,
      method === undefined ? url : `${url}/agent_manager.v1.${method}`,
    ],
    { reject: false, timeout: 30_000 },
  );
  return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
}

function bearerFlag(flag: string, token: string): readonly string[] {
  return token === "" ? [] : [flag, `authorization: Bearer ${token}`];
}

/** The JSON documents in a text that holds nothing else. */
export function parseDocuments(text: string): readonly unknown[] {
  const separated = text.trim().replaceAll(/\}\s*\n\{/g, "}\u0000{");
  return separated === "" ? [] : separated.split("\u0000").map((document): unknown => JSON.parse(document));
}
