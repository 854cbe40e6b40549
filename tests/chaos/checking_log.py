"""Every conversation is one log, the same for all who hear or read of it (promises 2, 3, 5, 7)."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from tests.chaos.evidence import Frame, Heard, Row
from tests.chaos.indexed import SHOWN, Found, Indexed, Shown, Talk, short
from tests.chaos.view import RANK

MESSAGES: Final = ("MESSAGE_SENT", "MESSAGE_RECEIVED")
CHANGES: Final = ("MESSAGE_DELIVERED", "MESSAGE_READ", "MESSAGE_DELETED")
OTHERS: Final = ("CONVERSATION_CREATED", "CONVERSATION_ARCHIVED")
_TIMES: Final = ("deliveredAt", "readAt", "deletedAt")


def what_is_talked_in_is_stored(indexed: Indexed) -> Iterator[Found]:
    """A conversation in which anything was done or heard is there."""
    named = {str(one.conversation): one.conversation for one in indexed.evidence.operations}
    named |= {str(row.conversation): row.conversation for row in indexed.evidence.rows}
    for item in indexed.heard:
        if name := item.frame.get("conversationId"):
            named.setdefault(name, UUID(name))
    for name, conversation in named.items():
        if conversation is not None and name not in indexed.talks:
            yield conversation, "the conversation isn't stored"


def messages_heard_are_stored(indexed: Indexed) -> Iterator[Found]:
    """Promises 2 and 3: what came live is a row, with the same number and the same text."""
    for item in indexed.heard:
        frame = item.frame
        if frame["type"] not in MESSAGES:
            continue
        row = indexed.rows.get(frame["messageId"])
        if row is None:
            yield UUID(frame["conversationId"]), f"not stored: {_heard(item)}"
        elif wrong := _unlike_heard(indexed, row, item):
            yield row.conversation, f"{short(row)}: {wrong} unlike the row's; {_heard(item)}"


def _unlike_heard(indexed: Indexed, row: Row, item: Heard) -> list[str]:
    frame = item.frame
    expected = indexed.as_told[frame["messageId"]]
    wrong = [
        name
        for name in ("conversationId", "seq", "timestamp", "senderId")
        if frame.get(name, expected[name]) != expected[name]
    ]
    if frame["type"] == "MESSAGE_SENT":
        is_own = item.user == row.sender and frame["clientMessageId"] == expected["clientMessageId"]
    else:
        client_id = expected["clientMessageId"] if item.user == row.sender else None
        is_own = frame.get("clientMessageId") == client_id
        if not _is_content(indexed, row, frame["content"]):
            wrong.append("content")
    return wrong if is_own else [*wrong, "clientMessageId"]


def _is_content(indexed: Indexed, row: Row, content: str) -> bool:
    """Of a deleted message only what was sent can tell."""
    if row.deleted_at is None:
        return content == row.content
    sent = indexed.sent_contents(row)
    return not sent or content in sent


def messages_shown_are_the_rows(indexed: Indexed) -> Iterator[Found]:
    """Promises 3 and 7: SYNC and REST show the rows, as they are or as they were before.

    A status and its times belong together; a time that was shown stays; a deleted message has
    no content; what was changed by the row's last entry is as the row is.
    """
    for shown in indexed.shown():
        message = shown.message
        row = indexed.rows.get(message["messageId"])
        if row is None:
            yield UUID(message["conversationId"]), f"not stored: {message}; {shown.where}"
        elif wrong := _unlike_shown(indexed, row, shown):
            yield row.conversation, f"{short(row)}: {wrong} can't be; {message}; {shown.where}"


def _unlike_shown(indexed: Indexed, row: Row, shown: Shown) -> list[str]:
    message, expected = shown.message, indexed.as_told[shown.message["messageId"]]
    if all(message[name] == expected[name] for name in SHOWN):
        wrong = []
    else:
        same = ["conversationId", "senderId", "seq", "timestamp"]
        if message["changedSeq"] >= row.changed_seq:
            same += ["changedSeq", "status", *_TIMES]
        wrong = [name for name in same if message[name] != expected[name]]
        wrong += [name for name in _TIMES if message[name] not in (None, expected[name])]
        if not _is_status(message):
            wrong.append("status")
        if message["deletedAt"] is not None:
            is_right = message["content"] is None
        else:
            is_right = message["content"] is not None and _is_content(
                indexed, row, message["content"]
            )
        wrong += [] if is_right else ["content"]
    client_id = expected["clientMessageId"] if shown.user == row.sender else None
    return wrong if message.get("clientMessageId") == client_id else [*wrong, "clientMessageId"]


def _is_status(message: Frame) -> bool:
    """READ without having been DELIVERED is what one can be who reads by REST."""
    status = message["status"]
    was_delivered, was_read = message["deliveredAt"] is not None, message["readAt"] is not None
    if status == "READ":
        return was_read
    return not was_read and was_delivered is bool(status == "DELIVERED")


def live_messages_come_in_order(indexed: Indexed) -> Iterator[Found]:
    """Promise 3: in one session MESSAGE_RECEIVED of one conversation comes by rising seq, once."""
    last: dict[tuple[str, int, str], Heard] = {}
    for item in indexed.heard:
        if item.frame["type"] == "MESSAGE_RECEIVED":
            place = (item.device, item.session, item.frame["conversationId"])
            before = last.get(place)
            if before is not None and item.frame["seq"] <= before.frame["seq"]:
                detail = f"{_heard(item)} came after {_heard(before)}"
                yield UUID(item.frame["conversationId"]), detail
            last[place] = item


def an_entry_is_one_thing(indexed: Indexed) -> Iterator[Found]:
    """Promise 3: a number is one entry, the same for all who hear of it, and what it did is stored.

    Told again after a crash it may name fewer messages than the first time.
    """
    first: dict[tuple[str, int], Heard] = {}
    messages = {(name, row.seq): row for name, talk in indexed.talks.items() for row in talk.rows}
    for item in indexed.heard:
        frame = item.frame
        if not is_entry(frame) or frame["type"] in MESSAGES:
            continue
        place = (frame["conversationId"], frame["seq"])
        before = first.setdefault(place, item)
        wrong = []
        if before is not item and _kind(before.frame) != _kind(frame):
            wrong.append(f"it was {_heard(before)}")
        if place in messages:
            wrong.append(f"it is {short(messages[place])}")
        wrong += _wrongs_of_change(indexed, frame)
        if wrong:
            yield UUID(frame["conversationId"]), f"{_heard(item)}: {'; '.join(wrong)}"


def _kind(frame: Frame) -> tuple[str, str | None]:
    return frame["type"], frame["messageId"] if frame["type"] == "MESSAGE_DELETED" else None


def _wrongs_of_change(indexed: Indexed, frame: Frame) -> Iterator[str]:
    kind, seq = frame["type"], frame["seq"]
    talk = indexed.talks.get(frame["conversationId"])
    if kind == "CONVERSATION_ARCHIVED" and talk is not None and seq != talk.archived_seq:
        yield f"stored as archived at {talk.archived_seq}"
    if kind not in CHANGES:
        return
    status, time = {
        "MESSAGE_DELIVERED": ("DELIVERED", "deliveredAt"),
        "MESSAGE_READ": ("READ", "readAt"),
        "MESSAGE_DELETED": ("SENT", "deletedAt"),
    }[kind]
    named = frame.get("messageIds", [frame["messageId"]])
    if frame["messageId"] != max(named, key=lambda one: _seq_of(indexed, one)):
        yield "messageId isn't the newest"
    for message_id in named:
        row = indexed.rows.get(message_id)
        if row is None or str(row.conversation) != frame["conversationId"]:
            yield f"message {message_id} isn't stored"
            continue
        if not row.seq < seq <= row.changed_seq:
            yield f"{short(row)} isn't changed by {seq}"
        if RANK[row.status] < RANK[status]:
            yield f"{short(row)} has fallen"
        if indexed.as_told[message_id][time] != frame[time]:
            yield f"{short(row)} has {time} {indexed.as_told[message_id][time]}"
        if kind == "MESSAGE_READ" and frame["readerId"] == str(row.sender):
            yield f"{short(row)} was read by its sender"


def _seq_of(indexed: Indexed, message_id: str) -> int:
    row = indexed.rows.get(message_id)
    return 0 if row is None else row.seq


def is_entry(frame: Frame) -> bool:
    """Or the answer that nothing was left to read, which names the head."""
    if frame["type"] == "MESSAGE_READ":
        return bool(frame["messageIds"])
    return frame["type"] in (*MESSAGES, *CHANGES, *OTHERS)


def numbers_are_dense(indexed: Indexed) -> Iterator[Found]:
    """Every number from 1 to the head is one entry; nobody has heard of a greater one.

    Of a message that was delivered at 5 and read at 7 the row tells only 7. Live frames tell 5,
    but nobody may have been there; and of what a dead router has decided but not told, only the
    newest change is told again. So a number that nobody knows is taken for an earlier change of
    a message between whose seq and changedSeq it lies, each such change for one number. What
    can't be explained so is a hole. Undecided: a hole where there are more such changes.
    """
    seen: defaultdict[str, set[int]] = defaultdict(set)
    greatest: dict[str, tuple[int, Heard]] = {}
    changes_heard: set[tuple[str, str]] = set()
    for item in indexed.heard:
        frame = item.frame
        for name, number in _numbers(frame):
            if number > greatest.get(name, (0, item))[0]:
                greatest[name] = number, item
        if is_entry(frame):
            seen[frame["conversationId"]].add(frame["seq"])
            # A deletion is a message's last change.
            changes_heard |= {(one, frame["type"]) for one in frame.get("messageIds", ())}
    for shown in indexed.shown():
        seen[shown.message["conversationId"]].add(shown.message["changedSeq"])
    for name, talk in indexed.talks.items():
        yield from _misplaced(talk)
        if name in greatest and greatest[name][0] > talk.head:
            number, item = greatest[name]
            yield talk.conversation, f"{number} is beyond the head {talk.head}: {_heard(item)}"
        stored = {1, talk.archived_seq or 1}
        stored |= {number for row in talk.rows for number in (row.seq, row.changed_seq)}
        if max(stored) != talk.head:
            yield talk.conversation, f"the head is {talk.head}, the last entry {max(stored)}"
        unknown = [n for n in range(1, talk.head + 1) if n not in stored and n not in seen[name]]
        for number in _unexplained(unknown, talk.rows, changes_heard):
            yield talk.conversation, f"number {number} of {talk.head} is no entry"


def _numbers(frame: Frame) -> Iterable[tuple[str, int]]:
    """All that it says of how far logs go."""
    match frame["type"]:
        case "CONNECT_SUCCESS":
            return tuple(frame["heads"].items())
        case "SYNC_RESULT":
            return ((frame["conversationId"], frame["head"]),)
        case _ if "seq" in frame:
            return ((frame["conversationId"], frame["seq"]),)
        case _:
            return ()


def _misplaced(talk: Talk) -> Iterator[Found]:
    """Rows that share a number. Several messages may be changed by one entry."""
    by_seq: dict[int, Row] = {}
    for row in talk.rows:
        other = by_seq.setdefault(row.seq, row)
        if other is not row:
            yield talk.conversation, f"{short(row)} and {short(other)} have one number"
    for row in talk.rows:
        if row.changed_seq != row.seq and row.changed_seq in by_seq:
            other = by_seq[row.changed_seq]
            yield talk.conversation, f"{short(row)} was changed by the number of {short(other)}"


def _unexplained(numbers: list[int], rows: list[Row], heard: set[tuple[str, str]]) -> Iterator[int]:
    """Of rising numbers those for which no earlier change of a message is left."""
    waiting = iter(rows)
    row = next(waiting, None)
    ends: list[int] = []
    for number in numbers:
        while row is not None and row.seq < number:
            for _ in range(_hidden(row, heard)):
                heapq.heappush(ends, row.changed_seq)
            row = next(waiting, None)
        while ends and ends[0] <= number:
            heapq.heappop(ends)
        if ends:
            heapq.heappop(ends)
        else:
            yield number


def _hidden(row: Row, heard: set[tuple[str, str]]) -> int:
    """Changes before its last one, of which nobody has heard the number."""
    name = str(row.message_id)
    was_delivered = row.delivered_at and (row.status == "READ" or row.deleted_at)
    was_read = row.read_at and row.deleted_at
    return bool(was_delivered and (name, "MESSAGE_DELIVERED") not in heard) + bool(
        was_read and (name, "MESSAGE_READ") not in heard
    )


def _heard(item: Heard) -> str:
    frame = {name: value for name, value in item.frame.items() if name != "conversationId"}
    return f"{frame} to {item.device}/{item.session} at {item.at:.3f}"


RULES = (
    what_is_talked_in_is_stored,
    messages_heard_are_stored,
    messages_shown_are_the_rows,
    live_messages_come_in_order,
    an_entry_is_one_thing,
    numbers_are_dense,
)
