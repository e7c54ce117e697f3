import { type Git, gitFailed } from "./git.js";

/** Reads many blobs through one git process. */
export interface BlobReader {
  read(id: string): Promise<Buffer>;
  close(): void;
}

interface Waiting {
  resolve(content: Buffer): void;
  reject(error: Error): void;
}

export function openBlobReader(git: Git): BlobReader {
  const child = git.start(["cat-file", "--batch"]);
  const waiting: Waiting[] = [];
  const answers = answerParser();
  let ended = false;
  const fail = (problem: string): void => {
    ended = true;
    for (const one of waiting.splice(0)) one.reject(gitFailed(["cat-file"], problem));
  };
  child.stdout?.on("data", (chunk: Buffer) => {
    for (const answer of answers(chunk)) {
      const first = waiting.shift();
      if (answer.kind === "content") first?.resolve(answer.content);
      else first?.reject(gitFailed(["cat-file"], answer.header));
    }
  });
  child.stderr?.resume();
  child.stdin?.on("error", () => undefined); // the end of the process rejects what waits
  child.on("error", (cause) => fail(cause.message));
  child.on("close", () => fail("git ended early"));
  return {
    read: (id) =>
      new Promise((resolve, reject) => {
        if (ended) reject(gitFailed(["cat-file"], "git ended early"));
        else waiting.push({ resolve, reject });
        child.stdin?.write(`${id}\n`);
      }),
    close: () => child.stdin?.end(),
  };
}

type Answer =
  | { readonly kind: "content"; readonly content: Buffer }
  | { readonly kind: "refused"; readonly header: string };

/** Answers are "<id> <type> <size>\n<content>\n", or "<id> missing\n". */
function answerParser(): (chunk: Buffer) => readonly Answer[] {
  let chunks: Buffer[] = [];
  let size = 0;
  let wanted = 0; // below this many bytes there is nothing whole yet: large blobs are joined once, not per chunk
  return (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size < wanted) return [];
    let rest = Buffer.concat(chunks);
    const answers: Answer[] = [];
    for (;;) {
      const end = rest.indexOf("\n");
      if (end === -1) break;
      const header = rest.subarray(0, end).toString("latin1");
      const length = /^[0-9a-f]+ blob (\d+)$/.exec(header)?.[1];
      const total = length === undefined ? end + 1 : end + 1 + Number(length) + 1;
      wanted = total;
      if (rest.length < total) break;
      answers.push(
        length === undefined
          ? { kind: "refused", header }
          : { kind: "content", content: Buffer.from(rest.subarray(end + 1, total - 1)) },
      );
      rest = rest.subarray(total);
      wanted = 0;
    }
    chunks = [rest];
    size = rest.length;
    return answers;
  };
}
