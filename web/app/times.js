// Times as people say them, in the reader's language and time zone.

const DAY_MS = 86_400_000;
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

const midnight = (at) => new Date(at).setHours(0, 0, 0, 0);
const daysAgo = (at, now) => Math.round((midnight(now) - midnight(at)) / DAY_MS);

export const clock = (at) => hour.format(new Date(at));
export const fully = (at) => exact.format(new Date(at));

/** Of the line between two days. */
export function dayOf(at, now = Date.now()) {
  const ago = daysAgo(at, now);
  if (ago < 2) return ago < 1 ? "Today" : "Yesterday";
  return (ago < 7 ? weekday : date).format(new Date(at));
}

/** Of the last message in a list. */
export const briefly = (at, now = Date.now()) =>
  daysAgo(at, now) < 1 ? clock(at) : short.format(new Date(at));

export const isSameDay = (a, b) => midnight(a) === midnight(b);
