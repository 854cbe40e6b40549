// The reference client of the chat protocol: no framework, no DOM. docs/web.md is its manual.
//
//   const client = new ChatClient({ url, token: async ({ fresh }) => "eyJ…" });
//   client.on("entry", (frame) => …);
//   client.connect();
//   client.send(conversationId, "Hi");
//
// It connects and comes back, finds gaps by `seq` and fills them by SYNC, repeats what got no
// answer with the same clientMessageId, and refreshes its token. What the entries say is yours.

import { CatchingUp } from "./client/catching-up.js";
import { Events } from "./client/events.js";
import { Link } from "./client/link.js";
import { Outbox } from "./client/outbox.js";
import { Readings } from "./client/readings.js";
import { Backoff, mayComeBack } from "./client/reconnecting.js";
import { Refreshing } from "./client/refreshing.js";
import { Sending } from "./client/sending.js";
import { Timers } from "./client/timers.js";
import { Typing } from "./client/typing.js";

export class ChatClient {
  /** `{name}` of stopped, connecting, online or waiting, as the last `state` event had it. */
  state = { name: "stopped" };

  #options;
  #events = new Events();
  #timers = new Timers();
  #backoff = new Backoff();
  #outbox;
  #sending;
  #readings;
  #catchingUp;
  #typing;
  #refreshing;
  #link;
  #wantsFreshToken = false;
  #tokensRefused = 0; // in a row
  #afterMs; // what RECONNECT, or an ERROR before the close, has asked for

  /**
   * @param {object} options
   * @param {string} options.url ws: or wss:, to …/api/chat/ws
   * @param {(wish: {fresh: boolean}) => Promise<string>} options.token called before each connect;
   *   `fresh`: the one before may be expired or refused, so get a new one
   * @param {{load: () => object[], save: (items: object[]) => void}} [options.store] keeps the
   *   outbox over a reload
   * @param {typeof WebSocket} [options.WebSocket] the platform's by default
   */
  constructor(options) {
    this.#options = { WebSocket: globalThis.WebSocket, ...options };
    const wire = {
      send: (frame) => this.#send(frame),
      emit: (name, detail) => this.#events.emit(name, detail),
      timers: this.#timers,
    };
    this.#outbox = new Outbox(options.store);
    this.#sending = new Sending(wire, this.#outbox);
    this.#readings = new Readings(wire);
    this.#catchingUp = new CatchingUp(wire);
    this.#typing = new Typing(wire);
    this.#refreshing = new Refreshing(wire, options.token);
  }

  /**
   * Events: state, frame, entry, sent, messages, signal, outbox, unknown, refused (docs/web.md).
   * Returns what ends it.
   */
  on(name, listener) {
    return this.#events.on(name, listener);
  }

  /** Connects, and comes back until `close`. */
  connect() {
    if (this.state.name !== "stopped") return;
    this.#tokensRefused = 0;
    this.#open();
  }

  /** Leaves for good; the outbox stays in its store. */
  close() {
    this.#tell({ name: "stopped" });
    this.#timers.forgetAll();
    this.#link?.abandon("closed by the app", 1000);
  }

  /** The network may be back, or the user is looking: don't wait any longer. */
  wake() {
    if (this.state.name === "waiting") this.#open();
  }

  /** The network is gone, as the platform has told: don't wait to find out. */
  lost() {
    this.#link?.abandon("network lost");
  }

  // --- what the app wants ----------------------------------------------------------------

  /** Messages without an answer, the oldest first (client/outbox.js says what they hold). */
  get outbox() {
    return this.#outbox.items;
  }

  /** Keeps it in the outbox until it is acknowledged; returns its id. Raises RangeError. */
  send(conversationId, content) {
    const clientMessageId = crypto.randomUUID();
    const item = { clientMessageId, conversationId, content: content.trim() };
    this.#outbox.add({ ...item, createdAt: Date.now() });
    this.#typing.ended(conversationId);
    this.#outboxChanged();
    return clientMessageId;
  }

  /** Tries again what was refused for good. */
  retry(clientMessageId) {
    this.#outbox.retry(clientMessageId);
    this.#outboxChanged();
  }

  /** Gives up what was refused for good. */
  discard(clientMessageId) {
    this.#outbox.remove(clientMessageId);
    this.#outboxChanged();
  }

  /** What was loaded by REST reaches up to `known`: from here on nothing is missed. */
  follow(conversationId, known) {
    this.#catchingUp.follow(conversationId, known);
  }

  /** How far its log is, as REST said: what is missing up to there comes by SYNC. */
  told(conversationId, head) {
    this.#catchingUp.told(conversationId, head);
  }

  /** The user has seen all up to here; told until it is acknowledged. */
  read(conversationId, upToSeq) {
    this.#readings.mark(conversationId, upToSeq);
  }

  /** Call it at every key, and with false when the user gives up. It sends what is of use. */
  typing(conversationId, isTyping = true) {
    this.#typing.tell(conversationId, isTyping);
  }

  // --- the connection --------------------------------------------------------------------

  async #open() {
    this.#timers.forgetAll();
    const attempt = this.#tell({ name: "connecting" });
    let token;
    try {
      token = await this.#options.token({ fresh: this.#wantsFreshToken });
    } catch (error) {
      if (this.state === attempt) this.#wait({ reason: `no token: ${error.message}` });
      return;
    }
    if (this.state !== attempt) return; // closed meanwhile
    this.#afterMs = undefined;
    this.#link = new Link(this.#options.WebSocket, this.#options.url, token, {
      onFrame: (frame) => this.#receive(frame),
      onSent: (frame) => this.#show("out", frame),
      onEnd: (end) => this.#end(end),
    });
  }

  #end({ code, reason }) {
    const wasOnline = this.state.name === "online";
    this.#link = undefined;
    this.#timers.forgetAll();
    this.#sending.interrupted();
    if (this.state.name === "stopped") return;
    if (code === 4401) this.#tokensRefused += 1;
    if (!mayComeBack(code) && !(code === 4401 && this.#tokensRefused === 1)) {
      this.#tell({ name: "stopped", code, reason });
      return;
    }
    // A handshake that is refused with 401 looks to a browser like a broken network.
    this.#wantsFreshToken = code === 4401 || !wasOnline;
    this.#wait({ code, reason });
  }

  #wait({ code, reason }) {
    const ms = this.#backoff.next({ code, afterMs: this.#afterMs }, Math.random());
    this.#timers.after("open", ms, () => this.#open());
    this.#tell({ name: "waiting", retryAt: Date.now() + ms, code, reason });
  }

  #welcome({ userId, sessionId, heads, heartbeatSeconds, expiresAt }) {
    this.#tokensRefused = 0;
    this.#wantsFreshToken = false;
    this.#backoff.reset();
    this.#link.watch(heartbeatSeconds);
    this.#refreshing.before(expiresAt);
    this.#tell({ name: "online", userId, sessionId });
    this.#catchingUp.begin(heads);
    this.#readings.begin();
    this.#sending.flush();
  }

  // --- what comes ------------------------------------------------------------------------

  #receive(frame) {
    this.#show("in", frame);
    switch (frame.type) {
      case "CONNECT_SUCCESS":
        return this.#welcome(frame);
      case "TOKEN_REFRESHED":
        return this.#refreshing.before(frame.expiresAt);
      case "RECONNECT":
        this.#afterMs = frame.afterMs;
        return undefined;
      case "SYNC_RESULT":
        // Of the sender's own messages it says which they are, so that it answers them too.
        for (const message of frame.messages) this.#sending.entered(message);
        return this.#catchingUp.synced(frame);
      case "ERROR":
        return this.#refuse(frame);
      default:
        // Types that a later service adds pass by.
        return frame.seq === undefined ? this.#events.emit("signal", frame) : this.#enter(frame);
    }
  }

  #enter(frame) {
    this.#catchingUp.entered(frame);
    const item = this.#sending.entered(frame);
    if (frame.type === "MESSAGE_READ" && frame.readerId === this.state.userId) {
      this.#readings.answered(frame);
    }
    if (frame.type !== "MESSAGE_SENT") this.#events.emit("entry", frame);
    else if (item) this.#events.emit("sent", { frame, item });
  }

  #refuse(frame) {
    const { type } = frame.ref;
    if (!type) this.#afterMs = frame.retryAfterMs; // the session itself: a close follows
    const asker = { SEND_MESSAGE: this.#sending, SYNC: this.#catchingUp, MARK_AS_READ: this.#readings };
    if (!asker[type]?.refused(frame)) this.#events.emit("refused", frame);
  }

  // --- small things ----------------------------------------------------------------------

  /** Whether it was written: only a session that is online takes frames. */
  #send(frame) {
    return this.state.name === "online" && this.#link.send(frame);
  }

  #outboxChanged() {
    this.#events.emit("outbox", this.outbox);
    if (this.state.name === "online") this.#sending.flush();
  }

  /** For who wants to watch: a copy without the token. */
  #show(direction, frame) {
    const shown = "token" in frame ? { ...frame, token: "…" } : frame;
    this.#events.emit("frame", { direction, at: Date.now(), frame: shown });
  }

  #tell(state) {
    this.state = state;
    this.#events.emit("state", state);
    return state;
  }
}
