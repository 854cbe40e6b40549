// A session ends with its token: so a newer one is shown in time.

import { ANSWER_MS, REPEAT_MS } from "./answers.js";

/** So long before its end; a short-lived token at half its time. */
const BEFORE_MS = 60_000;

export class Refreshing {
  #wire;
  #token;

  /**
   * @param {{send: (frame: object) => boolean, timers: object}} wire whose timers are forgotten
   *   when the connection ends
   * @param {(wish: {fresh: boolean}) => Promise<string>} token
   */
  constructor(wire, token) {
    this.#wire = wire;
    this.#token = token;
  }

  /**
   * CONNECT_SUCCESS or TOKEN_REFRESHED: the session lasts until then. By a clock that is ahead that
   * may be over already, and so is every newer token: without a pause it would never rest.
   */
  before(expiresAt) {
    const leftMs = Date.parse(expiresAt) - Date.now();
    this.#after(Math.max(REPEAT_MS, leftMs - BEFORE_MS, leftMs / 2));
  }

  #after(ms) {
    this.#wire.timers.after("refresh", ms, () => this.#refresh());
  }

  async #refresh() {
    this.#after(ANSWER_MS); // again, if nothing comes of it
    const token = await this.#token({ fresh: true }).catch(() => undefined);
    if (token) this.#wire.send({ type: "REFRESH_TOKEN", token });
  }
}
