// Messages that have no MESSAGE_SENT yet. Pure but for `store`, which keeps them over a reload.
//
// One message of a conversation is on its way at a time. So they keep the order in which they were
// written also when one of them is refused for a while or its connection breaks.

/**
 * @typedef {object} Item
 * @property {string} clientMessageId the same in every try: all tries are one message
 * @property {string} conversationId
 * @property {string} content
 * @property {number} createdAt milliseconds since 1970, by this device's clock
 * @property {string} [error] why it was refused for good; it waits for `retry` or `discard`
 */

export const MOST_CHARACTERS = 4_000;

/** Keeps nothing over a reload. */
const FORGETFUL = { load: () => [], save: () => {} };

export class Outbox {
  #items;
  #store;
  #flying = new Map(); // conversationId → clientMessageId

  /** @param {{load: () => Item[], save: (items: Item[]) => void}} store */
  constructor(store = FORGETFUL) {
    this.#store = store;
    this.#items = store.load();
  }

  /** @returns {readonly Item[]} the oldest first */
  get items() {
    return this.#items;
  }

  /** Raises RangeError for what the service would refuse. */
  add(item) {
    const length = [...item.content.trim()].length;
    if (length < 1 || length > MOST_CHARACTERS) {
      throw new RangeError(`A message has 1 to ${MOST_CHARACTERS} characters; this has ${length}.`);
    }
    this.#keep([...this.#items, item]);
  }

  /** What may be sent now, marked as being on its way: at most one of each conversation. */
  take() {
    const taken = [];
    for (const item of this.#items) {
      if (item.error || this.#flying.has(item.conversationId)) continue;
      this.#flying.set(item.conversationId, item.clientMessageId);
      taken.push(item);
    }
    return taken;
  }

  /** Its try came to nothing: it may be taken again. Without an id: all of them. */
  land(clientMessageId) {
    for (const [conversationId, flying] of this.#flying) {
      if (clientMessageId === undefined || flying === clientMessageId) {
        this.#flying.delete(conversationId);
      }
    }
  }

  isFlying(clientMessageId) {
    return [...this.#flying.values()].includes(clientMessageId);
  }

  /** It is kept by the service, or given up. Returns it, if it was here. */
  remove(clientMessageId) {
    const found = this.#items.find((item) => item.clientMessageId === clientMessageId);
    if (!found) return undefined;
    this.land(clientMessageId);
    this.#keep(this.#items.filter((item) => item !== found));
    return found;
  }

  /** Refused for good, with this constant. */
  fail(clientMessageId, error) {
    this.#replace(clientMessageId, { error });
  }

  /** Try again what was refused for good. */
  retry(clientMessageId) {
    this.#replace(clientMessageId, { error: undefined });
  }

  #replace(clientMessageId, change) {
    this.land(clientMessageId);
    this.#keep(
      this.#items.map((item) =>
        item.clientMessageId === clientMessageId ? { ...item, ...change } : item,
      ),
    );
  }

  #keep(items) {
    this.#items = items;
    this.#store.save(items);
  }
}
