"""The terminal chat's conversation: a value, and what changes it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from local.terminal.conversation import (
    Conversation,
    from_rest,
    is_uncounted,
    seen_up_to,
    unread_by,
    with_entry,
    with_own,
    with_page,
    with_signal,
    with_synced,
)
from local.terminal.message import Message

ME, OTHER, C = uuid4(), uuid4(), uuid4()
BEGAN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def at(seq: int) -> str:
    return (BEGAN + timedelta(minutes=seq)).isoformat()


def row(head: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "conversationId": str(C),
        "otherUserId": str(OTHER),
        "archivedAt": None,
        "lastMessage": None,
        "lastActivityAt": at(0),
        "unreadCount": 0,
        "head": head,
        "otherUserOnline": False,
        **fields,
    }


def item(seq: int, sender: UUID = OTHER, **fields: Any) -> dict[str, Any]:
    """A message as REST and SYNC have it."""
    return {
        "messageId": f"m{seq}",
        "senderId": str(sender),
        "content": f"text {seq}",
        "timestamp": at(seq),
        "seq": seq,
        "status": "SENT",
        "deletedAt": None,
        **fields,
    }


def received(seq: int, sender: UUID = OTHER) -> dict[str, Any]:
    frame = item(seq, sender)
    return {"type": "MESSAGE_RECEIVED", **frame}


def page(*items: dict[str, Any], older: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "nextCursor": older}


def loaded(*items: dict[str, Any], older: str | None = None, **fields: Any) -> Conversation:
    head = max([1, *(one["seq"] for one in items)])
    return with_page(from_rest(row(head, **fields), None), page(*items, older=older))


def seqs(one: Conversation) -> list[int]:
    return [message.seq for message in one.messages]


def test_messages_are_in_order_of_the_log_and_once() -> None:
    one = loaded(item(4), item(3), older="3")
    one = with_page(one, page(item(2), item(3)))
    for _ in range(2):
        one = with_entry(one, received(5), ME)
    assert seqs(one) == [2, 3, 4, 5]
    assert (one.older, one.head, one.unread) == (None, 5, 1)
    assert one.last is not None
    assert one.last.content == "text 5"


def test_a_status_only_rises() -> None:
    one = with_own(loaded(), Message("m2", ME, "hi", BEGAN, 2))
    ids = {"messageIds": ["m2"]}
    reading = {"type": "MESSAGE_READ", "readerId": str(OTHER), "seq": 4, **ids}
    one = with_entry(one, reading, ME)
    one = with_entry(one, {"type": "MESSAGE_DELIVERED", "seq": 3, **ids}, ME)
    one = with_synced(one, [item(2, ME)])
    assert [message.status for message in one.messages] == ["READ"]
    assert one.head == 4


def test_unread_counts_what_others_wrote_until_it_is_read_or_deleted() -> None:
    one = loaded(unreadCount=0)
    for seq in (2, 3, 4):
        one = with_entry(one, received(seq), ME)
    one = with_entry(one, received(5, ME), ME)
    assert one.unread == 3
    one = with_entry(one, {"type": "MESSAGE_DELETED", "messageId": "m2", "seq": 6}, ME)
    assert one.unread == 2
    assert one.messages[0].is_deleted
    assert one.messages[0].content == ""
    assert seen_up_to(one, ME) == 4
    assert [message.seq for message in unread_by(one, ME)] == [3, 4]
    read = {"type": "MESSAGE_READ", "readerId": str(ME), "messageIds": ["m3", "m4"], "seq": 7}
    for _ in range(2):
        one = with_entry(one, read, ME)
    assert one.unread == 0
    assert seen_up_to(one, ME) is None, "no news"


def test_what_the_service_has_counted_is_not_counted_again() -> None:
    one = from_rest(row(3, unreadCount=2, lastMessage=item(3)), None)
    assert with_entry(one, received(3), ME).unread == 2
    assert with_entry(one, received(4), ME).unread == 3


def test_a_deletion_that_the_service_has_counted_is_not_counted_again() -> None:
    one = from_rest(row(6, unreadCount=1), loaded(item(2), item(3), unreadCount=2))
    deletion = {"type": "MESSAGE_DELETED", "messageId": "m2", "seq": 6}
    assert with_entry(one, deletion, ME).unread == 1
    assert with_entry(one, {**deletion, "messageId": "m3", "seq": 7}, ME).unread == 0


def test_a_deletion_out_of_sight_has_to_be_counted_by_the_service() -> None:
    deletion = {"type": "MESSAGE_DELETED", "messageId": "m2", "seq": 6}
    one = from_rest(row(5, unreadCount=2, lastMessage=item(5)), None)
    assert is_uncounted(one, deletion)
    assert not is_uncounted(one, {**deletion, "messageId": "m5"})
    assert not is_uncounted(one, received(6))
    assert not is_uncounted(from_rest(row(5), None), deletion), "there is nothing to count"


def test_an_answer_that_is_older_than_what_was_told_changes_presence_only() -> None:
    one = with_entry(loaded(), received(2), ME)
    late = from_rest(row(1, otherUserOnline=True), one)
    assert (late.unread, late.head, late.is_online) == (1, 2, True)
    assert from_rest(row(2, unreadCount=1), one).messages == one.messages


def test_sync_leaves_no_hole() -> None:
    """What changed before the first message that is there comes with its page."""
    one = loaded(item(50), item(51), older="50")
    assert seqs(with_synced(one, [item(7), item(51), item(52)])) == [50, 51, 52]
    whole = loaded(item(2), item(3))
    assert seqs(with_synced(whole, [item(2), item(4)])) == [2, 3, 4]
    unopened = from_rest(row(60, lastMessage=item(60)), None)
    assert seqs(with_synced(unopened, [item(7), item(61)])) == [61]


def test_what_is_deleted_stays_so() -> None:
    one = with_entry(loaded(item(2)), {"type": "MESSAGE_DELETED", "messageId": "m2", "seq": 3}, ME)
    one = with_page(one, page(item(2)))
    assert one.messages[0].is_deleted
    assert one.messages[0].content == ""


def test_signals_are_the_other_users() -> None:
    start = {"type": "TYPING_START", "userId": str(OTHER), "expiresInMs": 5000}
    one = with_signal(loaded(), start, 10.0)
    assert one.typing_until == 15.0
    assert with_signal(one, {**start, "type": "TYPING_STOP"}, 11.0).typing_until == 0.0
    assert with_entry(one, received(2), ME).typing_until == 0.0
    assert with_signal(loaded(), {**start, "userId": str(ME)}, 10.0) == loaded()
    gone = {"type": "USER_OFFLINE", "userId": str(OTHER), "lastSeenAt": at(9)}
    there = with_signal(one, {"type": "USER_ONLINE", "userId": str(OTHER)}, 12.0)
    assert (there.is_online, there.typing_until) == (True, 0.0)
    left = with_signal(there, gone, 13.0)
    assert (left.is_online, left.last_seen_at) == (False, datetime.fromisoformat(at(9)))


def test_an_archived_conversation_has_nobody_in_it() -> None:
    one = with_signal(loaded(), {"type": "USER_ONLINE", "userId": str(OTHER)}, 1.0)
    one = with_entry(one, {"type": "CONVERSATION_ARCHIVED", "archivedAt": at(3), "seq": 2}, ME)
    assert (one.is_archived, one.is_online, one.head) == (True, False, 2)
