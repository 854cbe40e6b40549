/** TYPING_START is shown for 5 s: so it is told again before that, and not more often. */
const TELL_MS = 3_000;

/** That the user types, told as often as is of use. */
export class Typing {
  #wire;
  #toldAt = new Map();

  /** @param {{send: (frame: object) => boolean}} wire */
  constructor(wire) {
    this.#wire = wire;
  }

  tell(conversationId, isTyping) {
    const now = Date.now();
    const toldAt = this.#toldAt.get(conversationId) ?? 0;
    if (isTyping ? now - toldAt < TELL_MS : toldAt === 0) return;
    if (isTyping) this.#toldAt.set(conversationId, now);
    else this.#toldAt.delete(conversationId);
    this.#wire.send({ type: isTyping ? "TYPING_START" : "TYPING_STOP", conversationId });
  }

  /** A message was sent, which ends typing by itself. */
  ended(conversationId) {
    this.#toldAt.delete(conversationId);
  }
}
