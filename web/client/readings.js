// How far the user has read: told until it is acknowledged.
//
// MESSAGE_READ doesn't say which MARK_AS_READ it answers, and that of the user's other devices
// comes as well. So of each conversation one is on its way at a time.

import { ANSWER_MS, isPassing, pauseOf } from "./answers.js";

export class Readings {
  #wire;
  /**
   * conversationId → {wanted, asked, known}, each an `upToSeq` or 0: what has no answer yet, which
   * of it is on its way, and up to where nothing is left to read
   */
  #marks = new Map();

  /** @param {{send: (frame: object) => boolean, timers: object}} wire */
  constructor(wire) {
    this.#wire = wire;
  }

  /** What is being told, or is known, is not told again. */
  mark(conversationId, upToSeq) {
    const mark = this.#marks.get(conversationId) ?? { wanted: 0, asked: 0, known: 0 };
    if (upToSeq <= Math.max(mark.wanted, mark.known)) return;
    this.#marks.set(conversationId, { ...mark, wanted: upToSeq });
    if (!this.#wire.timers.has(`read ${conversationId}`)) this.#send(conversationId);
  }

  /** On a new link: what has no answer yet. */
  begin() {
    for (const [conversationId, mark] of this.#marks) {
      this.#marks.set(conversationId, { ...mark, asked: 0 });
      if (mark.wanted) this.#send(conversationId);
    }
  }

  /**
   * MESSAGE_READ of this user. Without messages it is no entry: it went to who asked alone, and
   * nothing is left to read. With messages it may yet be another device's, unless it is older than
   * what was asked for; so the user who looks at the same once more is told of again.
   */
  answered({ conversationId, messageIds, seq }) {
    const mark = this.#marks.get(conversationId);
    const isEmpty = messageIds.length === 0;
    if (!mark?.asked || (!isEmpty && seq < mark.asked)) return;
    this.#wire.timers.forget(`read ${conversationId}`);
    const wanted = mark.wanted > mark.asked ? mark.wanted : 0;
    const known = isEmpty ? mark.asked : mark.known;
    this.#marks.set(conversationId, { wanted, asked: 0, known });
    if (wanted) this.#send(conversationId);
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

  /** A repetition says the same: or a late answer to the first would be taken for its own. */
  #send(conversationId) {
    const mark = this.#marks.get(conversationId);
    const upToSeq = mark.asked || mark.wanted;
    if (!this.#wire.send({ type: "MARK_AS_READ", conversationId, upToSeq })) return;
    this.#marks.set(conversationId, { ...mark, asked: upToSeq });
    this.#wire.timers.after(`read ${conversationId}`, ANSWER_MS, () => this.#send(conversationId));
  }
}
