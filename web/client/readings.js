// How far the user has read: told until it is acknowledged.
//
// MESSAGE_READ doesn't say which MARK_AS_READ it answers, and that of the user's other devices
// comes as well. So of each conversation one is on its way at a time.

import { ANSWER_MS, isPassing, pauseOf } from "./answers.js";

export class Readings {
  #wire;
  /** conversationId → {wanted, asked, known}: up to where; `asked` is on its way, or 0 */
  #marks = new Map();

  /** @param {{send: (frame: object) => boolean, timers: object}} wire */
  constructor(wire) {
    this.#wire = wire;
  }

  /** What is told already, or was, is not told again. */
  mark(conversationId, upToSeq) {
    const mark = this.#marks.get(conversationId) ?? { wanted: 0, asked: 0, known: 0 };
    if (mark.wanted >= upToSeq) return;
    this.#marks.set(conversationId, { ...mark, wanted: upToSeq });
    if (!this.#wire.timers.has(`read ${conversationId}`)) this.#send(conversationId);
  }

  /** On a new link: what has no answer yet. */
  begin() {
    for (const [conversationId, { wanted, known }] of this.#marks) {
      if (wanted > known) this.#send(conversationId);
    }
  }

  /**
   * MESSAGE_READ of this user. An entry before what was asked for is of another reading; without
   * messages it is no entry, and goes to who asked alone.
   */
  answered({ conversationId, messageIds, seq }) {
    const mark = this.#marks.get(conversationId);
    if (!mark?.asked || (messageIds.length > 0 && seq < mark.asked)) return;
    this.#wire.timers.forget(`read ${conversationId}`);
    this.#marks.set(conversationId, { ...mark, known: mark.asked, asked: 0 });
    if (mark.wanted > mark.asked) this.#send(conversationId);
  }

  /** ERROR to a MARK_AS_READ. Returns whether that was all: it is told again. */
  refused(frame) {
    const { conversationId } = frame.ref;
    const mark = this.#marks.get(conversationId);
    this.#wire.timers.forget(`read ${conversationId}`);
    if (!mark || !isPassing(frame)) return !this.#marks.delete(conversationId);
    this.#marks.set(conversationId, { ...mark, asked: 0 });
    this.#wire.timers.after(`read ${conversationId}`, pauseOf(frame), () =>
      this.#send(conversationId),
    );
    return true;
  }

  #send(conversationId) {
    const mark = this.#marks.get(conversationId);
    const upToSeq = mark.wanted;
    if (!this.#wire.send({ type: "MARK_AS_READ", conversationId, upToSeq })) return;
    this.#marks.set(conversationId, { ...mark, asked: upToSeq });
    this.#wire.timers.after(`read ${conversationId}`, ANSWER_MS, () => this.#send(conversationId));
  }
}
