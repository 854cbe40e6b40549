// What a user sees of a conversation, by what comes. Pure: no service.

import assert from "node:assert/strict";
import { test } from "node:test";
import { firstUnread, fromRest, withEntry, withMessages, withPage, withSignal, withSynced } from "../../web/app/conversation.js";

const ME = "me", OTHER = "other", ID = "c";

const row = {
  conversationId: ID, otherUserId: OTHER, archivedAt: null, otherUserOnline: false,
  unreadCount: 0, head: 1, lastMessage: null, lastActivityAt: "2026-01-01T00:00:00.000Z",
};

const message = (seq, changes = {}) => ({
  messageId: `m${seq}`, senderId: OTHER, content: `text ${seq}`, seq, status: "SENT",
  timestamp: `2026-01-01T00:00:${String(seq % 60).padStart(2, "0")}.000Z`, deletedAt: null, ...changes,
});

const came = (seq, senderId = OTHER) => ({ type: "MESSAGE_RECEIVED", conversationId: ID, ...message(seq, { senderId }) });
const after = (...frames) => frames.reduce((c, frame) => withEntry(c, frame, ME), fromRest(row));

test("messages stand by seq, however they come, and once", () => {
  const seen = after(came(4), came(2), came(3), came(2));
  assert.deepEqual(seen.messages.map((m) => m.seq), [2, 3, 4]);
  assert.equal(seen.last.seq, 4);
  assert.equal(seen.unread, 3);
});

test("unread: one more for the other's, once; not for one's own", () => {
  assert.equal(after(came(2), came(2), came(3), came(4, ME)).unread, 2);
});

test("unread: fewer by one's own reading only, and never below none", () => {
  const read = (readerId, seq) => ({ type: "MESSAGE_READ", messageIds: ["m2", "m3"], readerId, seq, readAt: "t" });
  assert.equal(after(came(2), came(3), read(OTHER, 4)).unread, 2);
  assert.equal(after(came(2), came(3), read(ME, 4)).unread, 0);
  assert.equal(after(came(2), came(3), read(ME, 4), came(5), read(ME, 4)).unread, 1);
});

test("a status only rises", () => {
  const seen = after(came(2, ME), { type: "MESSAGE_READ", messageIds: ["m2"], readerId: OTHER, seq: 4, readAt: "t" },
    { type: "MESSAGE_DELIVERED", messageIds: ["m2"], seq: 3 });
  assert.equal(seen.messages[0].status, "READ");
  assert.equal(withMessages(seen, [message(2, { senderId: ME })]).messages[0].status, "READ");
});

test("what is deleted stays so, without its content, and no longer counts as unread", () => {
  const seen = after(came(2), { type: "MESSAGE_DELETED", messageId: "m2", deletedAt: "t", seq: 3 });
  assert.equal(seen.messages[0].content, null);
  assert.equal(seen.unread, 0);
  assert.equal(withMessages(seen, [message(2)]).messages[0].content, null);
});

test("the service is asked for the count when what is deleted isn't loaded, unless it has counted since", () => {
  const deletion = { type: "MESSAGE_DELETED", messageId: "m2", deletedAt: "t", seq: 5 };
  const unopened = fromRest({ ...row, head: 4, unreadCount: 2, lastMessage: message(3) });
  const seen = withEntry(unopened, deletion, ME);
  assert.ok(seen.isStale);
  assert.equal(seen.unread, 2);
  const again = fromRest({ ...row, head: 5, unreadCount: 1 }, seen);
  assert.ok(!again.isStale);
  assert.ok(!withEntry(again, deletion, ME).isStale);
  assert.ok(!withEntry(unopened, { ...deletion, messageId: "m3" }, ME).isStale);
});

test("an answer that is older than what was told is asked for again", () => {
  const synced = withSynced(fromRest({ ...row, head: 4 }), [message(5)]); // not counted by itself
  const told = withEntry(synced, came(6), ME);
  const seen = fromRest({ ...row, head: 5, unreadCount: 1 }, told);
  assert.equal(seen.last.seq, 6);
  assert.ok(seen.isStale);
  const again = fromRest({ ...row, head: 6, unreadCount: 2 }, seen);
  assert.deepEqual([again.unread, again.isStale], [2, false]);
});

test("a deletion that the service has counted is not counted again", () => {
  const counted = fromRest({ ...row, head: 5, unreadCount: 1 }, after(came(2), came(3)));
  assert.equal(withEntry(counted, { type: "MESSAGE_DELETED", messageId: "m2", deletedAt: "t", seq: 5 }, ME).unread, 1);
});

test("a SYNC makes no hole above what is loaded", () => {
  const loaded = withPage(fromRest(row), { items: [message(50)], nextCursor: "50" });
  const seen = withSynced(loaded, [message(7, { status: "READ" }), message(51)]);
  assert.deepEqual(seen.messages.map((m) => m.seq), [50, 51]);
  const unopened = withSynced(fromRest({ ...row, head: 60 }), [message(7, { status: "READ" }), message(61)]);
  assert.deepEqual(unopened.messages.map((m) => m.seq), [61]);
});

test("older pages go before, and the last one says so", () => {
  const one = withPage(fromRest(row), { items: [message(9), message(8)], nextCursor: "8" });
  const two = withPage(one, { items: [message(3), message(2)], nextCursor: null });
  assert.deepEqual(two.messages.map((m) => m.seq), [2, 3, 8, 9]);
  assert.equal(two.older, null);
  assert.equal(two.last.seq, 9);
});

test("typing ends by itself, by a message, and by presence", () => {
  const start = { type: "TYPING_START", userId: OTHER, expiresInMs: 5000 };
  const typing = withSignal(fromRest(row), start, 1000);
  assert.equal(typing.typingUntil, 6000);
  assert.equal(withEntry(typing, came(2), ME).typingUntil, 0);
  assert.equal(withSignal(typing, { type: "USER_OFFLINE", userId: OTHER, lastSeenAt: "t" }, 1).typingUntil, 0);
  assert.equal(withSignal(fromRest(row), { ...start, userId: ME }, 1000).typingUntil, 0);
});

test("the first unread is the other's, not read, not deleted", () => {
  const seen = after(came(2, ME), came(3), came(4), { type: "MESSAGE_DELETED", messageId: "m3", deletedAt: "t", seq: 5 });
  assert.equal(firstUnread(seen, ME).seq, 4);
});
