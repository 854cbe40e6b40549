// Sends what is in the outbox, each with its one clientMessageId, until it is answered.

import { ANSWER_MS, isPassing, pauseOf } from "./answers.js";

export class Sending {
  #wire;
  #outbox;

  /** @param {{send: (frame: object) => boolean, timers: object, emit: Function}} wire */
  constructor(wire, outbox) {
    this.#wire = wire;
    this.#outbox = outbox;
  }

  /** Sends what may be sent now; call it whenever that may have changed. */
  flush() {
    for (const { clientMessageId, conversationId, content } of this.#outbox.take()) {
      this.#wire.send({ type: "SEND_MESSAGE", conversationId, clientMessageId, content });
      this.#sendAgainAfter(ANSWER_MS, clientMessageId);
    }
  }

  /** The link has ended: whatever was on its way may be lost or kept, and is sent again. */
  interrupted() {
    this.#outbox.land();
  }

  /**
   * An entry came. MESSAGE_SENT answers; on the sender's other devices it is MESSAGE_RECEIVED, and
   * either may come for what this outbox has. Returns the item that is kept now, if it is ours.
   */
  entered({ clientMessageId }) {
    const item = clientMessageId && this.#outbox.remove(clientMessageId);
    if (!item) return undefined;
    this.#settled(clientMessageId);
    return item;
  }

  /** ERROR to a SEND_MESSAGE. Returns whether that was all: it is sent again. */
  refused(frame) {
    const { clientMessageId } = frame.ref;
    if (!this.#outbox.isFlying(clientMessageId)) return true; // an answer to an earlier try
    if (isPassing(frame)) {
      this.#sendAgainAfter(pauseOf(frame), clientMessageId);
      return true;
    }
    this.#outbox.fail(clientMessageId, frame.error);
    this.#settled(clientMessageId);
    return false;
  }

  #settled(clientMessageId) {
    this.#wire.timers.forget(`answer ${clientMessageId}`);
    this.#wire.emit("outbox", this.#outbox.items);
    this.flush();
  }

  #sendAgainAfter(ms, clientMessageId) {
    this.#wire.timers.after(`answer ${clientMessageId}`, ms, () => {
      this.#outbox.land(clientMessageId);
      this.flush();
    });
  }
}
