// When to come back (docs/protocol.md, "When the connection ends"). Pure: chance is passed in.

export const FIRST_MS = 100;
export const MOST_MS = 30_000;
/** Too many connections, or connects: sooner than this nothing will have changed. */
export const CROWDED_MS = 5_000;

/** Coming back doesn't mend these: the client is wrong (4400), or its token is (4401). */
const FINAL = new Set([4400, 4401]);

/** Whether a connection that was closed with `code` may be tried again as it is. */
export function mayComeBack(code) {
  return !FINAL.has(code);
}

/** Pauses that double from 0.1 s to 30 s, each shortened by up to a half by chance. */
export class Backoff {
  #ms = FIRST_MS;

  /** Connected: the next pause is the shortest again. */
  reset() {
    this.#ms = FIRST_MS;
  }

  /**
   * Milliseconds to wait now.
   * @param {{code?: number, afterMs?: number}} end the close code, and what RECONNECT or an ERROR
   *   has asked for: the service spreads its clients itself then
   * @param {number} chance from 0 to 1
   */
  next({ code, afterMs }, chance) {
    const pause = this.#ms * (0.5 + chance / 2);
    this.#ms = Math.min(this.#ms * 2, MOST_MS);
    if (code === 4429) return Math.max(afterMs ?? 0, CROWDED_MS * (0.5 + chance / 2));
    return afterMs ?? pause;
  }
}
