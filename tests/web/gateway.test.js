// The client against the real service: gateways, routers, nginx. CHAT_EDGE_URL says where.

import assert from "node:assert/strict";
import { test } from "node:test";
import { become, develop, faulty, history, link, match, online, open, tokenOf } from "./house.js";

const texts = (messages) => messages.map((message) => message.content);

test("two users chat: sent, received, delivered, read", async (t) => {
  const { anna, ben, conversationId } = await match();
  const [annas, bens] = [open(t, anna), open(t, ben)];
  await Promise.all([online(annas), online(bens)]);
  const id = annas.client.send(conversationId, "  Hi Ben ");
  await become(() => bens.of("entry").some((e) => e.type === "MESSAGE_RECEIVED" && e.content === "Hi Ben"), "received");
  await become(() => annas.of("sent").some(({ item }) => item.clientMessageId === id), "sent");
  await become(() => annas.of("entry").some((e) => e.type === "MESSAGE_DELIVERED"), "delivered");
  bens.client.read(conversationId, annas.of("sent")[0].frame.seq);
  await become(() => annas.of("entry").some((e) => e.type === "MESSAGE_READ" && e.readerId === ben), "read");
  assert.equal(annas.client.outbox.length, 0);
});

test("typing is told when it begins and ends, presence when somebody comes", async (t) => {
  const { anna, ben, conversationId } = await match();
  const annas = open(t, anna);
  await online(annas);
  const bens = open(t, ben);
  await online(bens);
  await become(() => annas.of("signal").some((s) => s.type === "USER_ONLINE" && s.userId === ben), "Ben is there");
  for (let key = 0; key < 5; key += 1) bens.client.typing(conversationId);
  await become(() => annas.of("signal").some((s) => s.type === "TYPING_START"), "typing");
  bens.client.typing(conversationId, false);
  await become(() => annas.of("signal").some((s) => s.type === "TYPING_STOP"), "stopped");
  assert.equal(bens.of("frame").filter((f) => f.frame.type === "TYPING_START").length, 1);
});

test("50 sends over a line that breaks again and again: nothing lost, doubled or out of order", async (t) => {
  const { anna, ben, conversationId } = await match();
  const line = {};
  const annas = open(t, anna, { WebSocket: faulty(line) });
  await online(annas);
  const wanted = Array.from({ length: 50 }, (_, n) => `message ${n}`);
  for (const content of wanted) annas.client.send(conversationId, content);
  let breaks = 0;
  const off = annas.client.on("sent", () => {
    if (annas.client.outbox.length % 10 !== 5) return;
    line.isCut = true; // what is sent now is lost, and so is what answers it
    breaks += 1;
    setTimeout(() => {
      annas.client.lost();
      line.isCut = false;
    }, 15);
  });
  await become(() => annas.client.outbox.length === 0, "all acknowledged");
  off();
  assert.ok(breaks >= 3, `${breaks} breaks`);
  assert.deepEqual(texts(await history(ben, conversationId)), wanted);
});

test("a lost frame is a gap, and SYNC fills it", async (t) => {
  const { anna, ben, conversationId } = await match();
  const annas = open(t, anna);
  const line = { loses: (frame) => frame.content === "lost" };
  const bens = open(t, ben, { WebSocket: faulty(line) });
  await Promise.all([online(annas), online(bens)]);
  bens.client.follow(conversationId, 1);
  for (const content of ["one", "lost", "three"]) annas.client.send(conversationId, content);
  await become(() => bens.of("messages").some(({ messages }) => texts(messages).includes("lost")), "filled");
  const synced = bens.of("frame").filter((f) => f.frame.type === "SYNC");
  assert.ok(synced.every((f) => f.frame.afterSeq >= 1 && f.direction === "out"));
});

test("a killed gateway: the client comes back and has all that was said meanwhile", async (t) => {
  const { anna, ben, conversationId } = await match();
  const [annas, bens] = [open(t, anna), open(t, ben)];
  await Promise.all([online(annas), online(bens)]);
  bens.client.follow(conversationId, 1);
  const { sessionId } = bens.client.state;
  const wanted = Array.from({ length: 20 }, (_, n) => `message ${n}`);
  for (const content of wanted.slice(0, 10)) annas.client.send(conversationId, content);
  const { gateway } = await develop("gateway-kills", { userId: ben, sessionId });
  assert.match(gateway, /^gateway-\d+$/);
  for (const content of wanted.slice(10)) annas.client.send(conversationId, content);
  await become(() => annas.client.outbox.length === 0, "all acknowledged");
  const seen = () => {
    const live = bens.of("entry").filter((e) => e.type === "MESSAGE_RECEIVED");
    const later = bens.of("messages").flatMap(({ messages }) => messages);
    return new Set(texts([...live, ...later]));
  };
  await become(() => seen().size === wanted.length, "Ben has all");
  assert.notEqual(bens.client.state.sessionId, sessionId);
  assert.deepEqual(texts(await history(ben, conversationId)), wanted);
});

test("a silent line is kept by PING, a dead one given up after two heartbeats", async (t) => {
  const { anna } = await match();
  const line = {};
  const told = await link(t, anna, line, 0.4);
  await become(() => told.frames.filter((type) => type === "PONG").length >= 3, "three PONGs");
  assert.equal(told.end, undefined);
  line.isCut = true;
  await become(() => told.end, "given up");
  assert.deepEqual(told.end, { code: 1006, reason: "nothing heard" });
});

test("a short token is refreshed before its end, and the session goes on", async (t) => {
  const { anna } = await match();
  const annas = open(t, anna, { token: () => tokenOf(anna, 4) });
  await online(annas);
  const { sessionId } = annas.client.state;
  const refreshed = () => annas.of("frame").filter((f) => f.frame.type === "TOKEN_REFRESHED").length;
  await become(() => refreshed() >= 3, "refreshed three times, beyond the first token's end");
  assert.equal(annas.client.state.sessionId, sessionId);
  assert.ok(annas.of("frame").every((f) => !("token" in f.frame) || f.frame.token === "…"));
});

test("a session that outlived its token is closed with 4401, and comes back with a new one", async (t) => {
  const { anna } = await match();
  let isIssuing = true;
  const wishes = [];
  const token = ({ fresh }) => {
    wishes.push(fresh);
    if (!isIssuing) return Promise.reject(new Error("no tokens today"));
    return tokenOf(anna, 2);
  };
  const annas = open(t, anna, { token });
  await online(annas);
  isIssuing = false;
  const closed = () => annas.of("state").some((s) => s.name === "waiting" && s.code === 4401);
  await become(closed, "closed with 4401");
  isIssuing = true;
  const before = annas.of("state").length;
  await become(() => annas.of("state").slice(before).some((s) => s.name === "online"), "online again");
  assert.deepEqual(wishes.slice(0, 2), [false, true]);
});

test("a token that nobody accepts keeps it away, with pauses that grow", async (t) => {
  const annas = open(t, "nobody", { token: async () => "not.a.token" });
  await become(() => annas.of("state").filter((s) => s.name === "waiting").length >= 4, "tried four times");
  assert.ok(!annas.of("state").some((s) => s.name === "online"));
});

test("a message that the service refuses for good is shown, kept, and holds up nobody", async (t) => {
  const [one, other] = [await match(), await match()];
  const annas = open(t, one.anna);
  await online(annas);
  const id = annas.client.send(other.conversationId, "not mine");
  annas.client.send(one.conversationId, "mine");
  await become(() => annas.of("sent").length === 1, "the other is sent");
  await become(() => annas.client.outbox[0]?.error === "NOT_PARTICIPANT", "the first is refused");
  annas.client.discard(id);
  assert.equal(annas.client.outbox.length, 0);
});
