// The rules of the client that need no service: gaps, backoff, outbox.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CatchingUp } from "../../web/client/catching-up.js";
import { Log } from "../../web/client/log.js";
import { Outbox } from "../../web/client/outbox.js";
import { Backoff, mayComeBack } from "../../web/client/reconnecting.js";
import { Refreshing } from "../../web/client/refreshing.js";
import { Timers } from "../../web/client/timers.js";

test("a gap closes when what is missing comes, in any order", () => {
  const log = new Log(1);
  for (const seq of [2, 5, 4]) log.add(seq);
  assert.equal(log.known, 2);
  assert.ok(log.hasGap);
  log.add(3);
  assert.equal(log.known, 5);
  assert.ok(!log.hasGap);
});

test("a SYNC closes a gap, and what is older changes nothing", () => {
  const log = new Log(3);
  log.add(9);
  log.reach(8);
  assert.equal(log.known, 9);
  log.add(2);
  log.reach(4);
  assert.equal(log.known, 9);
  assert.ok(!log.hasGap);
});

/** A log that is followed from 1 on, and from where SYNC was asked. */
function following(t) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked = [];
  const send = ({ afterSeq }) => asked.push(afterSeq) > 0;
  const catchingUp = new CatchingUp({ send, emit: () => {}, timers: new Timers() });
  catchingUp.follow("c", 1);
  return { catchingUp, asked };
}

test("a head that REST tells, of an archived log too, is a reason to SYNC", (t) => {
  const { catchingUp, asked } = following(t);
  catchingUp.begin({}); // CONNECT_SUCCESS says nothing of it
  catchingUp.told("c", 4);
  t.mock.timers.tick(1_000);
  assert.deepEqual(asked, [1]);
  catchingUp.synced({ conversationId: "c", messages: [], head: 4, complete: true });
  catchingUp.told("c", 4);
  t.mock.timers.tick(60_000);
  assert.deepEqual(asked, [1]);
});

test("a head that REST tells sooner than the socket is none, when what it is about comes", (t) => {
  const { catchingUp, asked } = following(t);
  catchingUp.told("c", 2);
  catchingUp.entered({ conversationId: "c", seq: 2 });
  t.mock.timers.tick(60_000);
  assert.deepEqual(asked, []);
});

test("pauses double up to half a minute, with jitter, and begin anew", () => {
  const backoff = new Backoff();
  const pauses = Array.from({ length: 12 }, () => backoff.next({ code: 1006 }, 1));
  assert.deepEqual(pauses.slice(0, 4), [100, 200, 400, 800]);
  assert.equal(pauses.at(-1), 30_000);
  assert.equal(backoff.next({ code: 1006 }, 0), 15_000);
  backoff.reset();
  assert.equal(backoff.next({ code: 1006 }, 0), 50);
});

test("who is told when to come back comes then", () => {
  assert.equal(new Backoff().next({ code: 1012, afterMs: 3210 }, 0.5), 3210);
  assert.equal(new Backoff().next({ code: 4429 }, 1), 5_000);
  assert.equal(new Backoff().next({ code: 4429, afterMs: 20_000 }, 1), 20_000);
});

test("only 4400 and 4401 are final", () => {
  const codes = [1000, 1001, 1006, 1009, 1012, 4400, 4401, 4408, 4429, 4500];
  assert.deepEqual(codes.filter((code) => !mayComeBack(code)), [4400, 4401]);
});

const item = (clientMessageId, conversationId = "c") => ({ clientMessageId, conversationId, content: "hi" });

test("one message of a conversation is on its way at a time, in order", () => {
  const outbox = new Outbox();
  for (const one of [item("a"), item("b"), item("x", "d")]) outbox.add(one);
  assert.deepEqual(outbox.take().map((one) => one.clientMessageId), ["a", "x"]);
  assert.deepEqual(outbox.take(), []);
  outbox.land("a"); // no answer: the same again, not the next
  assert.deepEqual(outbox.take().map((one) => one.clientMessageId), ["a"]);
  outbox.remove("a");
  assert.deepEqual(outbox.take().map((one) => one.clientMessageId), ["b"]);
});

test("what is refused for good waits for its user and holds up nobody", () => {
  const outbox = new Outbox();
  for (const one of [item("a"), item("b")]) outbox.add(one);
  outbox.take();
  outbox.fail("a", "CONVERSATION_ARCHIVED");
  assert.deepEqual(outbox.take().map((one) => one.clientMessageId), ["b"]);
  outbox.remove("b");
  outbox.retry("a");
  assert.deepEqual(outbox.take().map((one) => one.clientMessageId), ["a"]);
});

test("a store gets every change, and what it has kept is there again", () => {
  let kept = [];
  const store = { load: () => kept, save: (items) => (kept = items) };
  new Outbox(store).add(item("a"));
  assert.deepEqual(new Outbox(store).items.map((one) => one.clientMessageId), ["a"]);
});

test("content has 1 to 4,000 characters, of which an emoji is one", () => {
  const outbox = new Outbox();
  const of = (content) => ({ ...item("a"), content });
  outbox.add(of("🦊".repeat(4000)));
  assert.throws(() => outbox.add(of("🦊".repeat(4001))), RangeError);
  assert.throws(() => outbox.add(of(" \n ")), RangeError);
});

test("by a clock that is an hour ahead, a token is refreshed once a second at most", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-01-01T01:00:00Z") });
  const expiresAt = "2026-01-01T00:05:00.000Z";
  let asked = 0;
  const token = async () => `token ${(asked += 1)}`;
  const send = () => refreshing.before(expiresAt); // TOKEN_REFRESHED
  const refreshing = new Refreshing({ timers: new Timers(), send }, token);
  refreshing.before(expiresAt);
  for (let ms = 0; ms < 5_000; ms += 100) {
    t.mock.timers.tick(100);
    await new Promise(setImmediate); // the token has come, and is sent
  }
  assert.equal(asked, 5);
});
