// The running system as the tests of the web client meet it: at the edge, by CHAT_EDGE_URL.

import { randomUUID } from "node:crypto";
import { ChatClient } from "../../web/chat-client.js";
import { Link } from "../../web/client/link.js";

const EDGE = process.env.CHAT_EDGE_URL;
const SOCKET = `${EDGE.replace("http", "ws")}/api/chat/ws`;
const WAIT_MS = 20_000;

/** POST to the development endpoint; raises Error with what it said. */
export async function develop(path, body) {
  const response = await fetch(`${EDGE}/api/chat/development/${path}`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

export const tokenOf = async (userId, lastsSeconds = 600) =>
  (await develop("tokens", { userId, lastsSeconds })).token;

/** Two fresh users and their conversation. */
export async function match() {
  const [anna, ben] = [randomUUID(), randomUUID()];
  const { conversationId } = await develop("matches", { user1Id: anna, user2Id: ben });
  return { anna, ben, conversationId };
}

/** All messages, oldest first, by REST. */
export async function history(userId, conversationId) {
  const path = `${EDGE}/api/chat/conversations/${conversationId}/messages?limit=100&after=`;
  const headers = { Authorization: `Bearer ${await tokenOf(userId)}` };
  const messages = [];
  for (let after = "0"; after !== null; ) {
    const page = await (await fetch(path + after, { headers })).json();
    messages.push(...page.items);
    after = page.nextCursor;
  }
  return messages;
}

/** A client that remembers what it was told, and ends with the test. */
export function open(t, userId, options = {}) {
  const client = new ChatClient({
    url: SOCKET,
    token: () => tokenOf(userId),
    ...options,
  });
  const told = [];
  for (const name of ["state", "entry", "sent", "messages", "signal", "unknown", "refused", "frame"]) {
    client.on(name, (detail) => told.push({ name, detail }));
  }
  client.connect();
  t.after(() => client.close());
  return { client, told, of: (name) => told.filter((one) => one.name === name).map((one) => one.detail) };
}

/** Waits until `truth` holds; raises Error naming it. */
export async function become(truth, what) {
  const until = Date.now() + WAIT_MS;
  while (!(await truth())) {
    if (Date.now() > until) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A bare connection with a heartbeat of its own, and what it was told. */
export async function link(t, userId, line, heartbeatSeconds) {
  const told = { frames: [], end: undefined };
  const made = new Link(faulty(line), SOCKET, await tokenOf(userId), {
    onFrame: (frame) => told.frames.push(frame.type),
    onSent: () => {},
    onEnd: (end) => (told.end = end),
  });
  t.after(() => made.abandon("the test is over"));
  await become(() => told.frames.includes("CONNECT_SUCCESS"), "connected");
  made.watch(heartbeatSeconds);
  return told;
}

export const online = (device) => become(() => device.client.state.name === "online", "online");

/** A WebSocket whose frames a test may lose: `line.isCut` loses all, `line.loses` single ones. */
export function faulty(line) {
  return class extends WebSocket {
    send(data) {
      if (!line.isCut) super.send(data);
    }

    set onmessage(listener) {
      super.onmessage = (event) => {
        if (!line.isCut && !line.loses?.(JSON.parse(event.data))) listener(event);
      };
    }
  };
}
