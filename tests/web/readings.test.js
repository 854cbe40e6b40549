// How far the user has read, told until it is acknowledged. Pure: no service, a clock of its own.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Readings } from "../../web/client/readings.js";
import { Timers } from "../../web/client/timers.js";

const conversationId = "c";

/** What it tells over a link that may be down, and what it hears. */
function told(t) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const timers = new Timers();
  const link = { isUp: true, sent: [] };
  const readings = new Readings({
    timers,
    send: ({ upToSeq }) => link.isUp && link.sent.push(upToSeq) > 0,
  });
  return {
    readings,
    sent: () => link.sent.splice(0),
    read: (seq, messageIds = ["m"]) => readings.answered({ conversationId, messageIds, seq }),
    refused: (code) => readings.refused({ code, retryAfterMs: 300, ref: { conversationId } }),
    ends() {
      timers.forgetAll();
      link.isUp = false;
    },
    begins() {
      link.isUp = true;
      readings.begin();
    },
  };
}

test("an answer to less is no answer: the newest is told once the one before it is known", (t) => {
  const { readings, sent, read } = told(t);
  readings.mark(conversationId, 5);
  readings.mark(conversationId, 6);
  readings.mark(conversationId, 7);
  assert.deepEqual(sent(), [5]);
  read(8); // of 5: 6 and 7 were in the log when it came there
  assert.deepEqual(sent(), [7]);
  read(9);
  t.mock.timers.tick(60_000);
  assert.deepEqual(sent(), []);
});

test("a link that ends before the newest is answered: it is told on the next", (t) => {
  const { readings, sent, read, ends, begins } = told(t);
  readings.mark(conversationId, 5);
  readings.mark(conversationId, 7);
  read(8);
  assert.deepEqual(sent(), [5, 7]);
  ends();
  begins();
  assert.deepEqual(sent(), [7]);
  ends();
  readings.mark(conversationId, 10);
  begins();
  assert.deepEqual(sent(), [10]);
  read(11);
  ends();
  begins();
  assert.deepEqual(sent(), []);
});

test("another device's reading of less answers nothing, one without messages does", (t) => {
  const { readings, sent, read } = told(t);
  readings.mark(conversationId, 7);
  read(6);
  t.mock.timers.tick(10_000);
  assert.deepEqual(sent(), [7, 7]);
  read(7, []);
  t.mock.timers.tick(60_000);
  assert.deepEqual(sent(), []);
});

test("what gets no answer is repeated as it was: a late answer may be to the first", (t) => {
  const { readings, sent, read } = told(t);
  readings.mark(conversationId, 5);
  readings.mark(conversationId, 7);
  t.mock.timers.tick(10_000);
  assert.deepEqual(sent(), [5, 5]);
  read(8);
  assert.deepEqual(sent(), [7]);
});

test("what is looked at again is told again, unless nothing is left to read", (t) => {
  const { readings, sent, read } = told(t);
  readings.mark(conversationId, 7);
  read(8); // it may have been another device's
  readings.mark(conversationId, 7);
  assert.deepEqual(sent(), [7, 7]);
  read(8, []);
  readings.mark(conversationId, 7);
  assert.deepEqual(sent(), []);
});

test("what is refused for a while is told after it, whatever is read elsewhere", (t) => {
  const { readings, sent, read, refused } = told(t);
  readings.mark(conversationId, 7);
  assert.ok(refused(429));
  read(9); // another device's
  readings.mark(conversationId, 8);
  assert.deepEqual(sent(), [7]);
  t.mock.timers.tick(300);
  assert.deepEqual(sent(), [8]);
});

test("what is refused for good is given up until the user reads again", (t) => {
  const { readings, sent, refused } = told(t);
  readings.mark(conversationId, 7);
  assert.ok(!refused(403));
  t.mock.timers.tick(60_000);
  assert.deepEqual(sent(), [7]);
  readings.mark(conversationId, 7);
  assert.deepEqual(sent(), [7]);
});
