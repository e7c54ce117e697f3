/** "resets 9:38am (UTC)", "resets 3pm (Europe/Berlin)": the program states a clock time and a zone, no date. */
const stated = /resets?(?: at)? (\d{1,2})(?::(\d{2}))?\s?(am|pm) \(([A-Za-z_+\-/0-9]+)\)/i;

const minuteMs = 60_000;
const dayMinutes = 24 * 60;

/**
 * The next moment after `nowMs` at which a limit is lifted, as the text states it; null if it states none that
 * can be understood.
 */
export function statedResetMs(text: string, nowMs: number): number | null {
  const [, hour, minute = "0", half = "", zone = ""] = stated.exec(text) ?? [];
  if (hour === undefined) return null;
  const now = clockMinutes(nowMs, zone);
  if (now === null) return null;
  const then = ((Number(hour) % 12) + (half.toLowerCase() === "pm" ? 12 : 0)) * 60 + Number(minute);
  const ahead = (((then - now) % dayMinutes) + dayMinutes) % dayMinutes;
  return (Math.floor(nowMs / minuteMs) + ahead) * minuteMs;
}

/** Minutes since midnight of a moment on the clocks of a zone; null for a zone that nobody knows. */
function clockMinutes(atMs: number, zone: string): number | null {
  try {
    const format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
    const [hours = "0", minutes = "0"] = format.format(atMs).split(":");
    return Number(hours) * 60 + Number(minutes);
  } catch {
    return null;
  }
}
