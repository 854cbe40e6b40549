// One WebSocket connection, from its opening to its end: frames in and out, and whether it lives.

/** How long CONNECT_SUCCESS may take. */
const OPEN_MS = 20_000;
/** What RFC 6455 says where no close frame came. */
const BROKEN = 1006;

export class Link {
  #socket;
  #handlers;
  #heardAt = Date.now();
  #pulse;
  #ended = false;

  /**
   * Browsers can't set headers, so the token travels as a subprotocol; only `chat.v1` comes back.
   * @param {typeof WebSocket} WebSocket
   * @param {{onFrame: (frame: object) => void, onSent: (frame: object) => void,
   *   onEnd: (end: {code: number, reason: string}) => void}} handlers `onEnd` comes once, last
   */
  constructor(WebSocket, url, token, handlers) {
    this.#handlers = handlers;
    this.#socket = new WebSocket(url, ["chat.v1", `bearer.${token}`]);
    this.#socket.onmessage = ({ data }) => this.#hear(data);
    this.#socket.onclose = ({ code, reason }) => this.#end(code, reason);
    this.#pulse = setTimeout(() => this.abandon("no CONNECT_SUCCESS"), OPEN_MS);
  }

  /** Whether it was written: not when the connection is about to end. */
  send(frame) {
    if (this.#ended || this.#socket.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(frame));
    this.#handlers.onSent(frame);
    return true;
  }

  /**
   * From CONNECT_SUCCESS on. The service pings a silent connection, but a browser shows no pings:
   * so after as long a silence we send PING, and take two for the end.
   */
  watch(heartbeatSeconds) {
    clearTimeout(this.#pulse);
    this.#pulse = setInterval(() => {
      const silentMs = Date.now() - this.#heardAt;
      if (silentMs > heartbeatSeconds * 2000) this.abandon("nothing heard");
      else if (silentMs > heartbeatSeconds * 900) this.send({ type: "PING" });
    }, heartbeatSeconds * 500);
  }

  /** Ends it now. A dead network would never answer a close, so nobody waits for that. */
  abandon(reason, code = BROKEN) {
    this.#socket.close(1000);
    this.#end(code, reason);
  }

  #hear(data) {
    if (this.#ended) return;
    this.#heardAt = Date.now();
    this.#handlers.onFrame(JSON.parse(data));
  }

  #end(code, reason) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#pulse);
    clearInterval(this.#pulse);
    this.#handlers.onEnd({ code, reason });
  }
}
