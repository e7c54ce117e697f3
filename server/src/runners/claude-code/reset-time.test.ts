import { expect, test } from "vitest";
import { statedResetMs } from "./reset-time.js";

const now = Date.UTC(2026, 10, 22, 8, 30, 12);

test.each([
  ["You've hit your session limit · resets 9:38am (UTC)", Date.UTC(2026, 10, 22, 9, 38)],
  ["resets 8am (UTC)", Date.UTC(2026, 10, 23, 8)],
  ["resets 12am (UTC)", Date.UTC(2026, 10, 23)],
  ["resets at 3pm (Europe/Berlin)", Date.UTC(2026, 10, 22, 14)],
  ["resets 9am (Mars/Olympus)", null],
  ["API Error: Request rejected (429)", null],
])("%s", (text, expected) => {
  expect(statedResetMs(text, now)).toBe(expected);
});
