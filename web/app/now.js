import { signal } from "@preact/signals";

const TICK_MS = 500;

/** The time, for what is seen to change by itself: a countdown, the end of typing. */
export const now = signal(Date.now());

setInterval(() => (now.value = Date.now()), TICK_MS);
