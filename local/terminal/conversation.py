"""One conversation as its user sees it: a value, and what changes it. Pure.

The same rules as web/app/conversation.js. A frame or a REST object in, a new value out; what comes
twice changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from local.terminal.message import Fields, Message, is_unread_by, merged


@dataclass(frozen=True, slots=True)
class Conversation:
    """`messages` are by seq, without a hole between the first and the last."""

    id: UUID
    other_id: UUID
    active_at: datetime
    head: int
    """The newest entry that has been told."""
    counted: int
    """The entry up to which the service itself has counted `unread`."""
    unread: int = 0
    is_archived: bool = False
    is_online: bool = False
    last_seen_at: datetime | None = None
    typing_until: float = 0.0
    """The other user's; seconds of the clock that `with_signal` is given."""
    messages: tuple[Message, ...] = ()
    last: Message | None = None
    is_loaded: bool = False
    """Whether the newest page has been loaded."""
    older: str | None = None
    """Where the page before `messages` begins; None: there is none, once it is loaded."""


def is_stale(row: Fields, before: Conversation) -> bool:
    """Whether what was told meanwhile is newer than this answer: it has to be asked for again."""
    return bool(row["head"] < before.head)


def from_rest(row: Fields, before: Conversation | None) -> Conversation:
    """As GET /conversations has it; keeps what is loaded of `before`. Of a stale row, presence."""
    if before is not None and is_stale(row, before):
        return replace(before, is_online=row["otherUserOnline"])
    last = row["lastMessage"]
    fresh = Conversation(
        id=UUID(row["conversationId"]),
        other_id=UUID(row["otherUserId"]),
        active_at=datetime.fromisoformat(row["lastActivityAt"]),
        head=row["head"],
        counted=row["head"],
        unread=row["unreadCount"],
        is_archived=row["archivedAt"] is not None,
        is_online=row["otherUserOnline"],
        last=None if last is None else Message.of(last),
    )
    if before is None:
        return fresh
    return replace(
        fresh,
        last_seen_at=before.last_seen_at,
        typing_until=before.typing_until,
        messages=before.messages,
        is_loaded=before.is_loaded,
        older=before.older,
    )


def with_page(conversation: Conversation, page: Fields) -> Conversation:
    """The page before what is loaded, or the first."""
    loaded = _with_messages(conversation, map(Message.of, page["items"]))
    return replace(loaded, is_loaded=True, older=page["nextCursor"])


def with_synced(conversation: Conversation, changed: Sequence[Fields]) -> Conversation:
    """What SYNC brought: messages older than those that are there would leave a hole."""
    there = conversation.messages
    if conversation.is_loaded and conversation.older is None:
        first = 0
    else:
        first = there[0].seq if there else conversation.counted + 1
    messages = map(Message.of, changed)
    return _with_messages(conversation, (one for one in messages if one.seq >= first))


def with_entry(conversation: Conversation, frame: Fields, me: UUID) -> Conversation:
    """An entry of the log; `me` is the user's id."""
    changed = _applied(conversation, frame, me)
    return replace(changed, head=max(changed.head, frame["seq"]))


def is_uncounted(conversation: Conversation, frame: Fields) -> bool:
    """Whether an entry may change `unread` and only the service knows if: ask for the row."""
    is_deletion = frame["type"] == "MESSAGE_DELETED" and conversation.unread > 0
    return is_deletion and _find(conversation, frame["messageId"]) is None


def with_signal(conversation: Conversation, frame: Fields, now: float) -> Conversation:
    """Typing and presence of the other user; `now` in seconds of any one clock."""
    if frame.get("userId") != str(conversation.other_id):
        return conversation
    match frame["type"]:
        case "TYPING_START":
            return replace(conversation, typing_until=now + frame["expiresInMs"] / 1000)
        case "TYPING_STOP":
            return replace(conversation, typing_until=0.0)
        case "USER_ONLINE":
            return replace(conversation, is_online=True, typing_until=0.0)
        case "USER_OFFLINE":
            seen = datetime.fromisoformat(frame["lastSeenAt"])
            return replace(conversation, is_online=False, last_seen_at=seen, typing_until=0.0)
    return conversation


def unread_by(conversation: Conversation, me: UUID) -> Iterator[Message]:
    """What the user has not read of what is loaded, the oldest first."""
    return (message for message in conversation.messages if is_unread_by(message, me))


def seen_up_to(conversation: Conversation, me: UUID) -> int | None:
    """The `upToSeq` to tell when the end of the conversation is looked at; None: no news."""
    theirs = [message.seq for message in conversation.messages if message.sender_id != me]
    return theirs[-1] if theirs and conversation.unread > 0 else None


# ---------------------------------------------------------------- what an entry does


def _applied(conversation: Conversation, frame: Fields, me: UUID) -> Conversation:
    match frame["type"]:
        case "MESSAGE_RECEIVED":
            return _received(conversation, Message.of(frame), me)
        case "MESSAGE_DELIVERED":
            return _changing(
                conversation, frame["messageIds"], lambda one: replace(one, status="DELIVERED")
            )
        case "MESSAGE_READ":
            return _read(conversation, frame, me)
        case "MESSAGE_DELETED":
            return _deleted(conversation, frame, me)
        case "CONVERSATION_ARCHIVED":
            return replace(conversation, is_archived=True, is_online=False, typing_until=0.0)
    return conversation


def with_own(conversation: Conversation, message: Message) -> Conversation:
    """MESSAGE_SENT, with what was sent."""
    changed = _with_messages(conversation, [message])
    return replace(changed, head=max(changed.head, message.seq))


def _received(conversation: Conversation, message: Message, me: UUID) -> Conversation:
    changed = _with_messages(conversation, [message])
    if message.sender_id == me:
        return changed
    is_known = message.seq <= conversation.counted or _find(conversation, message.message_id)
    unread = conversation.unread + (0 if is_known else 1)
    return replace(changed, unread=unread, typing_until=0.0)


def _deleted(conversation: Conversation, frame: Fields, me: UUID) -> Conversation:
    found = _find(conversation, frame["messageId"])
    is_news = frame["seq"] > conversation.counted
    was_unread = is_news and found is not None and is_unread_by(found, me)
    changed = _changing(
        conversation, [frame["messageId"]], lambda one: replace(one, content="", is_deleted=True)
    )
    return replace(changed, unread=max(0, conversation.unread - was_unread))


def _read(conversation: Conversation, frame: Fields, me: UUID) -> Conversation:
    changed = _changing(conversation, frame["messageIds"], lambda one: replace(one, status="READ"))
    if frame["readerId"] != str(me) or frame["seq"] <= conversation.counted:
        return changed
    found = (_find(conversation, message_id) for message_id in frame["messageIds"])
    fewer = sum(message is None or message.status != "READ" for message in found)
    return replace(changed, unread=max(0, conversation.unread - fewer))


# ---------------------------------------------------------------- messages in their places


def _with_messages(conversation: Conversation, changed: Iterable[Message]) -> Conversation:
    by_id = {message.message_id: message for message in conversation.messages}
    for message in changed:
        by_id[message.message_id] = merged(by_id.get(message.message_id), message)
    if not by_id:
        return conversation
    messages = tuple(sorted(by_id.values(), key=lambda message: message.seq))
    newest = messages[-1]
    if conversation.last is not None and newest.seq < conversation.last.seq:
        return replace(conversation, messages=messages)
    return replace(conversation, messages=messages, last=newest, active_at=newest.timestamp)


def _changing(
    conversation: Conversation, message_ids: Iterable[str], change: Callable[[Message], Message]
) -> Conversation:
    """The messages with these ids. Those that aren't loaded will come as they are then."""
    wanted = set(message_ids)

    def touched(message: Message) -> Message:
        if message.message_id not in wanted:
            return message
        return merged(message, change(message))

    last = conversation.last
    return replace(
        conversation,
        messages=tuple(map(touched, conversation.messages)),
        last=None if last is None else touched(last),
    )


def _find(conversation: Conversation, message_id: str) -> Message | None:
    known = (*conversation.messages, *((conversation.last,) if conversation.last else ()))
    return next((message for message in known if message.message_id == message_id), None)
