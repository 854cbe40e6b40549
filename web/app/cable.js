// A network cable that can be pulled: sockets and calls that are made by it go through it.

/** A socket on a line without a cable: it never opens. */
class Dead {
  readyState = 0;
  #broken = setTimeout(() => this.onclose?.({ code: 1006, reason: "no network" }), 50);

  close() {
    clearTimeout(this.#broken);
  }
}

export class Cable {
  isIn = true;
  /** In place of the browser's, for ChatClient. */
  WebSocket;

  constructor() {
    const cable = this;
    class Wired extends WebSocket {
      /** What is written while it is out is lost, and nobody says so: as on a real line. */
      send(data) {
        if (cable.isIn) super.send(data);
      }

      set onmessage(listener) {
        super.onmessage = (event) => cable.isIn && listener(event);
      }
    }
    this.WebSocket = function connect(...where) {
      return cable.isIn ? new Wired(...where) : new Dead();
    };
  }

  /** The browser's, while it is in. */
  fetch = (...request) =>
    this.isIn ? fetch(...request) : Promise.reject(new TypeError("no network"));

  /** The client is told, as a browser would by its event `offline`. */
  pull(client) {
    this.isIn = false;
    client.lost();
  }

  plugIn(client) {
    this.isIn = true;
    client.lost(); // a connection that was begun without a cable
    client.wake();
  }
}
