// One conversation as its user sees it: values, and what changes them. Pure.

/**
 * @typedef {object} Message as REST has it; `content` is null or "" once it is deleted
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} otherUserId
 * @property {?string} archivedAt
 * @property {boolean} online whether the other user has a session
 * @property {?string} lastSeenAt
 * @property {number} typingUntil milliseconds since 1970; the other user's
 * @property {number} unread
 * @property {number} head the newest entry that has been told
 * @property {number} counted the entry up to which the service itself has counted `unread`
 * @property {boolean} isStale whether `unread` may be wrong: the service has to be asked again
 * @property {Message[]} messages by seq, without a hole between the first and the last
 * @property {?string} older where the page before `messages` begins; null: there is none;
 *   undefined: nothing has been loaded yet
 * @property {?Message} last
 * @property {string} activeAt
 */

const RANK = { SENT: 0, DELIVERED: 1, READ: 2 };

/** A conversation as GET /conversations has it; keeps what is loaded of `before`. */
export function fromRest(row, before) {
  if (before && row.head < before.head) {
    // What was told meanwhile is newer than this answer, and yet not all that is in it.
    return { ...before, online: row.otherUserOnline, isStale: true };
  }
  return {
    messages: [],
    older: undefined,
    typingUntil: 0,
    lastSeenAt: null,
    ...before,
    id: row.conversationId,
    otherUserId: row.otherUserId,
    archivedAt: row.archivedAt,
    online: row.otherUserOnline,
    unread: row.unreadCount,
    head: row.head,
    counted: row.head,
    isStale: false,
    last: row.lastMessage,
    activeAt: row.lastActivityAt,
  };
}

/** Two views of one message: a status only rises, and what is deleted stays so. */
function merged(before, after) {
  if (!before) return after;
  const status = RANK[before.status] > RANK[after.status] ? before.status : after.status;
  const deletedAt = after.deletedAt ?? before.deletedAt ?? null;
  return { ...before, ...after, status, deletedAt, content: deletedAt ? null : after.content };
}

/** New and changed messages, each in its place. */
export function withMessages(conversation, changed) {
  if (changed.length === 0) return conversation;
  const byId = new Map(conversation.messages.map((message) => [message.messageId, message]));
  for (const message of changed) {
    byId.set(message.messageId, merged(byId.get(message.messageId), message));
  }
  const messages = [...byId.values()].sort((a, b) => a.seq - b.seq);
  const newest = messages.at(-1);
  const isNewest = newest.seq >= (conversation.last?.seq ?? 0);
  return {
    ...conversation,
    messages,
    last: isNewest ? newest : conversation.last,
    activeAt: isNewest ? newest.timestamp : conversation.activeAt,
  };
}

/** What SYNC brought: messages older than those that are there would leave a hole. */
export function withSynced(conversation, changed) {
  const { messages, older, counted } = conversation;
  const first = older === null ? 0 : (messages[0]?.seq ?? counted + 1);
  return withMessages(
    conversation,
    changed.filter((message) => message.seq >= first),
  );
}

/** The page before what is loaded, or the first. */
export function withPage(conversation, { items, nextCursor }) {
  return { ...withMessages(conversation, items), older: nextCursor };
}

const find = (conversation, messageId) =>
  conversation.messages.find((message) => message.messageId === messageId) ??
  (conversation.last?.messageId === messageId ? conversation.last : undefined);

/** The messages with these ids, changed. Those that aren't loaded will come as they are then. */
function changing(conversation, messageIds, change) {
  const wanted = new Set(messageIds);
  const touch = (message) => (wanted.has(message.messageId) ? merged(message, { ...message, ...change }) : message);
  return {
    ...conversation,
    messages: conversation.messages.map(touch),
    last: conversation.last && touch(conversation.last),
  };
}

/** A message that is new: MESSAGE_RECEIVED, or MESSAGE_SENT with what was sent. */
function received(conversation, frame, me) {
  const { messageId, senderId, content, timestamp, seq } = frame;
  const isKnown = find(conversation, messageId) !== undefined || seq <= conversation.counted;
  const counts = senderId !== me && !isKnown;
  const message = { messageId, senderId, content, timestamp, seq, status: "SENT", deletedAt: null };
  return {
    ...withMessages(conversation, [message]),
    unread: conversation.unread + (counts ? 1 : 0),
    typingUntil: senderId === me ? conversation.typingUntil : 0,
  };
}

/** One that isn't loaded may have been unread, or not. */
function deleted(conversation, { messageId, deletedAt, seq }, me) {
  const message = find(conversation, messageId);
  const isNews = seq > conversation.counted;
  const wasUnread = message && message.senderId !== me && message.status !== "READ" && !message.deletedAt;
  return {
    ...changing(conversation, [messageId], { deletedAt, content: null }),
    unread: Math.max(0, conversation.unread - (isNews && wasUnread ? 1 : 0)),
    isStale: conversation.isStale || (isNews && !message),
  };
}

function read(conversation, { messageIds, readerId, readAt, seq }, me) {
  const isNews = readerId === me && seq > conversation.counted;
  const wasUnread = (id) => find(conversation, id)?.status !== "READ";
  const fewer = isNews ? messageIds.filter(wasUnread).length : 0;
  return {
    ...changing(conversation, messageIds, { status: "READ", readAt }),
    unread: Math.max(0, conversation.unread - fewer),
  };
}

/** An entry of the log; `me` is the user's id. What comes twice changes nothing. */
export function withEntry(conversation, frame, me) {
  const next = applied(conversation, frame, me);
  return { ...next, head: Math.max(next.head, frame.seq) };
}

function applied(conversation, frame, me) {
  switch (frame.type) {
    case "MESSAGE_RECEIVED":
    case "MESSAGE_SENT":
      return received(conversation, frame, me);
    case "MESSAGE_DELIVERED":
      return changing(conversation, frame.messageIds, { status: "DELIVERED" });
    case "MESSAGE_READ":
      return read(conversation, frame, me);
    case "MESSAGE_DELETED":
      return deleted(conversation, frame, me);
    case "CONVERSATION_ARCHIVED":
      return { ...conversation, archivedAt: frame.archivedAt, online: false, typingUntil: 0 };
    default:
      return conversation;
  }
}

/** Typing and presence of the other user; `now` in milliseconds since 1970. */
export function withSignal(conversation, frame, now) {
  if (frame.userId !== conversation.otherUserId) return conversation;
  switch (frame.type) {
    case "TYPING_START":
      return { ...conversation, typingUntil: now + frame.expiresInMs };
    case "TYPING_STOP":
      return { ...conversation, typingUntil: 0 };
    case "USER_ONLINE":
      return { ...conversation, online: true, typingUntil: 0 };
    case "USER_OFFLINE":
      return { ...conversation, online: false, lastSeenAt: frame.lastSeenAt, typingUntil: 0 };
    default:
      return conversation;
  }
}

/** The first message that the user has not read, of those that are loaded. */
export function firstUnread(conversation, me) {
  return conversation.messages.find(
    ({ senderId, status, deletedAt }) => senderId !== me && status !== "READ" && !deletedAt,
  );
}
