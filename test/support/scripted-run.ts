import { makeRepository } from "./server.js";

/** The prompt that makes the scripted agent do these steps; see server/demo/script.mjs for what there is. */
export function script(...steps: readonly object[]): string {
  return JSON.stringify({ script: steps });
}

/** A folder in which each call makes another small repository. */
export function projectMaker(folder: () => string): (files?: Readonly<Record<string, string>>) => Promise<string> {
  let count = 0;
  return (files = { "a.txt": "one\ntwo\nthree\n" }) => makeRepository(`${folder()}/project-${++count}`, files);
}
