// How far the user has read: told until it is acknowledged.

import { ANSWER_MS, isPassing, pauseOf } from "./answers.js";

export class Readings {
  #wire;
  #marks = new Map(); // conversationId → {upToSeq, isKnown}

  /** @param {{send: (frame: object) => boolean, timers: object}} wire */
  constructor(wire) {
    this.#wire = wire;
  }

  mark(conversationId, upToSeq) {
    if ((this.#marks.get(conversationId)?.upToSeq ?? 0) >= upToSeq) return;
    this.#marks.set(conversationId, { upToSeq, isKnown: false });
    this.#send(conversationId);
  }

  /** On a new link: what has no answer yet. */
  begin() {
    for (const [conversationId, { isKnown }] of this.#marks) {
      if (!isKnown) this.#send(conversationId);
    }
  }

  /** MESSAGE_READ of this user. */
  answered({ conversationId }) {
    this.#wire.timers.forget(`read ${conversationId}`);
    const mark = this.#marks.get(conversationId);
    if (mark) mark.isKnown = true;
  }

  /** ERROR to a MARK_AS_READ. Returns whether that was all: it is told again. */
  refused(frame) {
    const { conversationId } = frame.ref;
    this.#wire.timers.forget(`read ${conversationId}`);
    if (!isPassing(frame)) return !this.#marks.delete(conversationId);
    this.#wire.timers.after(`read ${conversationId}`, pauseOf(frame), () =>
      this.#send(conversationId),
    );
    return true;
  }

  #send(conversationId) {
    const { upToSeq } = this.#marks.get(conversationId);
    if (!this.#wire.send({ type: "MARK_AS_READ", conversationId, upToSeq })) return;
    this.#wire.timers.after(`read ${conversationId}`, ANSWER_MS, () => this.#send(conversationId));
  }
}
