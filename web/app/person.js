// One user of this page: a connection, their conversations, and what they look at.

import { batch, signal } from "@preact/signals";
import { ChatClient } from "../chat-client.js";
import { Backoff } from "../client/reconnecting.js";
import { Timers } from "../client/timers.js";
import { Cable } from "./cable.js";
import {
  firstUnread, fromRest, withEntry, withPage, withSignal, withSynced,
} from "./conversation.js";
import { tokensOf } from "./development.js";
import { kept } from "./kept.js";
import { pause, Rest } from "./rest.js";

const FRAMES_MOST = 300;
const PAGE = 50;
/** A conversation under traffic is asked for again after so long, not without a pause. */
const STALE_MS = 300;
const SOCKET = `${location.origin.replace("http", "ws")}/api/chat/ws`;

export class Person {
  connection = signal({ name: "stopped" });
  /** id → conversation (conversation.js) */
  conversations = signal(new Map());
  /** Whether all of them have been loaded once. */
  isListed = signal(false);
  /** undefined: nothing chosen yet; null: the list, by choice */
  openId = signal(undefined);
  /** The first message that was unread when the conversation was opened. */
  dividerId = signal(null);
  outbox = signal([]);
  drafts = signal({});
  frames = signal([]);
  isCableIn = signal(true);
  /** A sentence for the user; "" for none. */
  notice = signal("");
  /** The message to scroll to, once. */
  target = signal(null);

  #cable = new Cable();
  #loading = new Map();
  #timers = new Timers();
  /** Told of while the list was being loaded. */
  #unknown = new Set();
  #keptDrafts;

  /** @param {{value: boolean}} isLooking a signal: whether the user looks at this pane */
  constructor(userId, isLooking) {
    this.userId = userId;
    this.isLooking = isLooking;
    const token = tokensOf(userId, this.#cable.fetch);
    this.rest = new Rest(token, this.#cable.fetch);
    this.#keptDrafts = kept(`drafts ${userId}`, {});
    this.drafts.value = this.#keptDrafts.load();
    this.client = new ChatClient({
      url: SOCKET,
      token,
      store: kept(`outbox ${userId}`, []),
      WebSocket: this.#cable.WebSocket,
    });
    this.outbox.value = this.client.outbox;
    this.#listen();
  }

  #listen() {
    const { client } = this;
    client.on("state", (state) => this.#connectionIs(state));
    client.on("outbox", (items) => (this.outbox.value = items));
    client.on("frame", (frame) => {
      this.frames.value = [...this.frames.value.slice(1 - FRAMES_MOST), frame];
    });
    client.on("entry", (frame) => this.#enter(frame));
    client.on("sent", ({ frame, item }) => {
      this.#enter({ ...frame, senderId: this.userId, content: item.content });
    });
    client.on("signal", (frame) => {
      this.#change(frame.conversationId, (one) => withSignal(one, frame, Date.now()));
    });
    client.on("messages", ({ conversationId, messages }) => {
      this.#change(conversationId, (one) => withSynced(one, messages));
      this.#reload(conversationId); // what changed out of sight changes the count
    });
    client.on("unknown", ({ conversationId }) => this.#discover(conversationId));
    client.on("refused", (frame) => (this.notice.value = frame.message));
  }

  get open() {
    return this.conversations.value.get(this.openId.value);
  }

  // --- what the user does ----------------------------------------------------------------

  select(conversationId) {
    const one = this.conversations.value.get(conversationId);
    batch(() => {
      this.openId.value = conversationId;
      this.dividerId.value = (one && firstUnread(one, this.userId)?.messageId) ?? null;
    });
    if (one && one.older === undefined) this.loadOlder(conversationId);
  }

  send(content) {
    this.client.send(this.openId.value, content);
    this.dividerId.value = null;
    this.draft("");
  }

  draft(text) {
    this.drafts.value = { ...this.drafts.value, [this.openId.value]: text };
    this.#keptDrafts.save(this.drafts.value);
  }

  /** All that is shown has been seen. */
  sawAll() {
    const { open } = this;
    const unread = open?.messages.findLast((one) => one.senderId !== this.userId);
    if (open?.unread > 0 && unread) this.client.read(open.id, unread.seq);
  }

  async deleteMessage(messageId) {
    await this.#tryTo(() => this.rest.delete(`/messages/${messageId}`));
  }

  async archive(conversationId) {
    await this.#tryTo(() => this.rest.delete(`/conversations/${conversationId}`));
  }

  pullCable() {
    this.isCableIn.value = false;
    this.#cable.pull(this.client);
  }

  plugIn() {
    this.isCableIn.value = true;
    this.#cable.plugIn(this.client);
  }

  // --- loading ---------------------------------------------------------------------------

  /** One page back; returns whether that went well. One at a time of each conversation. */
  loadOlder(conversationId, limit = PAGE) {
    const under = this.#loading.get(conversationId);
    if (under) return under;
    const loading = this.#loadOlder(conversationId, limit).finally(() =>
      this.#loading.delete(conversationId),
    );
    this.#loading.set(conversationId, loading);
    return loading;
  }

  async #loadOlder(conversationId, limit) {
    const { older } = this.conversations.value.get(conversationId);
    if (older === null) return true;
    const query = new URLSearchParams({ limit: String(limit), ...(older && { before: older }) });
    return this.#tryTo(async () => {
      const page = await this.rest.get(`/conversations/${conversationId}/messages?${query}`);
      batch(() => {
        this.#change(conversationId, (one) => withPage(one, page));
        if (older !== undefined || this.openId.value !== conversationId) return;
        const first = firstUnread(this.open, this.userId);
        this.dividerId.value = first?.messageId ?? null;
      });
    });
  }

  /** Returns whether that went well. */
  #loadList() {
    return this.#tryTo(async () => {
      let cursor = "";
      do {
        const page = await this.rest.get(`/conversations?limit=100${cursor}`);
        batch(() => page.items.forEach((row) => this.#put(row)));
        cursor = page.nextCursor && `&cursor=${encodeURIComponent(page.nextCursor)}`;
      } while (cursor);
      const { openId, conversations } = this;
      const missed = [...this.#unknown].filter((id) => !conversations.value.has(id));
      this.#unknown.clear();
      this.isListed.value = true;
      await Promise.all(missed.map((id) => this.#reload(id)));
      const [first, ...others] = conversations.value.keys();
      if (openId.value === undefined && first && others.length === 0) this.select(first);
      else if (this.open?.older === undefined && this.open) this.select(openId.value);
    });
  }

  #discover(conversationId) {
    if (this.isListed.value) this.#reload(conversationId);
    else this.#unknown.add(conversationId);
  }

  async #reload(conversationId) {
    await this.#tryTo(async () => {
      this.#put(await this.rest.get(`/conversations/${conversationId}`));
    });
  }

  #reloadIfStale(conversationId) {
    const name = `reload ${conversationId}`;
    if (!this.conversations.value.get(conversationId)?.isStale || this.#timers.has(name)) return;
    this.#timers.after(name, STALE_MS, () => this.#reload(conversationId));
  }

  #put(row) {
    const { conversations } = this;
    const before = conversations.value.get(row.conversationId);
    const one = fromRest(row, before);
    conversations.value = new Map(conversations.value).set(row.conversationId, one);
    if (before) this.client.told(row.conversationId, row.head);
    else this.client.follow(row.conversationId, row.head);
    this.#reloadIfStale(row.conversationId);
  }

  async #connectionIs(state) {
    this.connection.value = state;
    if (state.name !== "online") return;
    // Each time, as not all that changes has an entry: who is there.
    const backoff = new Backoff();
    while (this.connection.value === state && !(await this.#loadList())) {
      await pause(backoff.next({}, Math.random()));
    }
  }

  #enter(frame) {
    batch(() => {
      this.#change(frame.conversationId, (one) => withEntry(one, frame, this.userId));
      const isShown = frame.conversationId === this.openId.value && this.dividerId.value === null;
      if (isShown && !this.isLooking.value && frame.type === "MESSAGE_RECEIVED") {
        this.dividerId.value = firstUnread(this.open, this.userId)?.messageId ?? null;
      }
    });
    this.#reloadIfStale(frame.conversationId);
  }

  #change(conversationId, change) {
    const { conversations } = this;
    const one = conversations.value.get(conversationId);
    if (one) conversations.value = new Map(conversations.value).set(conversationId, change(one));
  }

  async #tryTo(act) {
    try {
      await act();
      return true;
    } catch (error) {
      this.notice.value = error.message;
      return false;
    }
  }
}
