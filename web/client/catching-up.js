// Finds what is missing by `seq`, and asks for it by SYNC (docs/protocol.md, "The log").

import { Log } from "./log.js";
import { ANSWER_MS, isPassing, pauseOf } from "./answers.js";

/** Frames of different kinds may overtake each other: a gap is given so long to close. */
const GAP_MS = 1_000;

export class CatchingUp {
  #wire;
  #logs = new Map();
  #heads = new Map();
  #asked = new Set();
  #announced = new Set();

  /** @param {{send: (frame: object) => void, timers: object, emit: Function}} wire */
  constructor(wire) {
    this.#wire = wire;
  }

  /** All up to `known` was loaded by REST. */
  follow(conversationId, known) {
    const log = this.#logs.get(conversationId) ?? new Log();
    this.#logs.set(conversationId, log);
    log.reach(known);
    if (this.#isBehind(conversationId)) this.#sync(conversationId);
  }

  /** CONNECT_SUCCESS: how far each log is. What was asked on the link before gets no answer. */
  begin(heads) {
    this.#asked.clear();
    this.#announced.clear();
    for (const [conversationId, head] of Object.entries(heads)) {
      this.#heads.set(conversationId, head);
      if (!this.#isFollowed(conversationId)) continue;
      if (this.#isBehind(conversationId)) this.#sync(conversationId);
    }
  }

  /** How far the log is, as REST said: of an archived one nothing else does. */
  told(conversationId, head) {
    this.#raise(conversationId, head);
    if (this.#isBehind(conversationId)) this.#fillLater(conversationId);
  }

  /** An entry came. */
  entered({ conversationId, seq }) {
    this.#raise(conversationId, seq);
    if (!this.#isFollowed(conversationId)) return;
    const log = this.#logs.get(conversationId);
    log.add(seq);
    if (log.hasGap) this.#fillLater(conversationId);
  }

  /** SYNC_RESULT. */
  synced({ conversationId, messages, head, complete }) {
    this.#landed(conversationId);
    const log = this.#logs.get(conversationId);
    log.reach(complete ? head : messages.at(-1).changedSeq);
    this.#wire.emit("messages", { conversationId, messages });
    if (complete && !log.hasGap) this.#heads.set(conversationId, log.known);
    else this.#sync(conversationId);
  }

  /** ERROR to a SYNC. Returns whether that was all: it is asked again. */
  refused(frame) {
    const { conversationId } = frame.ref;
    this.#landed(conversationId);
    if (!isPassing(frame)) return false;
    this.#wire.timers.after(`sync ${conversationId}`, pauseOf(frame), () =>
      this.#sync(conversationId),
    );
    return true;
  }

  #isFollowed(conversationId) {
    if (this.#logs.has(conversationId)) return true;
    if (!this.#announced.has(conversationId)) this.#wire.emit("unknown", { conversationId });
    this.#announced.add(conversationId);
    return false;
  }

  #isBehind(conversationId) {
    const log = this.#logs.get(conversationId);
    return log !== undefined && (this.#heads.get(conversationId) ?? 0) > log.known;
  }

  #raise(conversationId, head) {
    this.#heads.set(conversationId, Math.max(head, this.#heads.get(conversationId) ?? 0));
  }

  #fillLater(conversationId) {
    this.#wire.timers.after(`gap ${conversationId}`, GAP_MS, () => {
      if (this.#isBehind(conversationId)) this.#sync(conversationId);
    });
  }

  #sync(conversationId) {
    if (this.#asked.has(conversationId)) return;
    const afterSeq = this.#logs.get(conversationId).known;
    if (!this.#wire.send({ type: "SYNC", conversationId, afterSeq })) return;
    this.#asked.add(conversationId);
    this.#wire.timers.after(`sync ${conversationId}`, ANSWER_MS, () => {
      this.#asked.delete(conversationId);
      this.#sync(conversationId);
    });
  }

  #landed(conversationId) {
    this.#asked.delete(conversationId);
    this.#wire.timers.forget(`sync ${conversationId}`);
  }
}
