// What one client has of one conversation's log: numbers only, nothing of what they say. Pure.

/** `known` is the number up to which nothing is missing; numbers beyond a gap are remembered. */
export class Log {
  #beyond = new Set();

  /** @param {number} known the `head` that came with what has been loaded by REST; 0 for nothing */
  constructor(known = 0) {
    this.known = known;
  }

  /** An entry came. */
  add(seq) {
    if (seq > this.known) this.#beyond.add(seq);
    this.#close();
  }

  /** All up to here is there: the answer to a SYNC, or to a call of REST, said so. */
  reach(seq) {
    this.known = Math.max(this.known, seq);
    for (const later of this.#beyond) if (later <= this.known) this.#beyond.delete(later);
    this.#close();
  }

  /** Whether something is missing before the newest entry that came. */
  get hasGap() {
    return this.#beyond.size > 0;
  }

  #close() {
    while (this.#beyond.delete(this.known + 1)) this.known += 1;
  }
}
