// What an answer, or none, means for who asked.

/** What got no answer for so long is sent again. */
export const ANSWER_MS = 10_000;
/** The pause before the same again, where nothing names one. */
export const REPEAT_MS = 1_000;

/** Whether an ERROR says: the same again, later. 429, and whatever failed on the service's side. */
export const isPassing = ({ code }) => code === 429 || code >= 500;

/** How much later, in milliseconds. */
export const pauseOf = ({ retryAfterMs }) => retryAfterMs ?? REPEAT_MS;
