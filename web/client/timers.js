/** setTimeout takes no more than this. */
const MOST_MS = 2 ** 31 - 1;

/** Timers by name: a new one takes the place of the old. */
export class Timers {
  #running = new Map();

  after(name, ms, act) {
    this.forget(name);
    const fire = () => {
      this.#running.delete(name);
      act();
    };
    this.#running.set(name, setTimeout(fire, Math.min(ms, MOST_MS)));
  }

  has(name) {
    return this.#running.has(name);
  }

  forget(name) {
    clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  forgetAll() {
    for (const timer of this.#running.values()) clearTimeout(timer);
    this.#running.clear();
  }
}
