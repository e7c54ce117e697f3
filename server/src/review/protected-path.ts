import { type BytePath, toText } from "./byte-path.js";

/** True for paths that no run may write: git's own folder however a file system may spell it, and ways out. */
export function isProtected(path: BytePath): boolean {
  if (path === "" || path.includes("\0")) return true;
  return path.split("/").some((part) => part === "" || part === "." || part.split("\\").some(isProtectedName));
}

function isProtectedName(part: string): boolean {
  if (part === "..") return true;
  const name = asWindowsSees(asMacSees(toText(part)));
  return name === ".git" || /^git~\d+$/.test(name);
}

/** HFS+ skips these characters and compares without case. */
function asMacSees(name: string): string {
  return name
    .replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/gu, "")
    .normalize("NFC")
    .toLowerCase();
}

/** NTFS drops trailing dots and blanks, and what follows a colon names a stream of the same file. */
function asWindowsSees(name: string): string {
  return (name.split(":")[0] ?? "").replace(/[. ]+$/, "");
}
