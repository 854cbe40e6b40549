"""What was delivered, read and deleted (promises 1, 5, 7)."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from tests.chaos.indexed import Found, Indexed, short, told


def delivered_means_heard(indexed: Indexed) -> Iterator[Found]:
    """Promise 5: nobody is told DELIVERED before a device of the recipient had the message.

    One process holds all devices. A device's frames are recorded in the turn of its loop after
    the one that read them and answered the ping; `websockets` gives out what it has read also
    after an abort, and `Session.abort` waits for that. So what was answered is recorded, and
    earlier than the sender can hear of it. Only while a session opens nobody takes the frames
    yet, so what is recorded by then may have come at any moment since the device began to
    connect. What became READ without DELIVERED was fetched by REST: nothing to see.
    """
    had = _first_had(indexed)
    wanting: dict[str, tuple[float, str]] = {}
    for item in indexed.heard:
        frame = item.frame
        delivered: Iterable[str] = ()
        if frame["type"] == "MESSAGE_DELIVERED":
            delivered = frame["messageIds"]
        elif frame["type"] == "SYNC_RESULT":
            delivered = [one["messageId"] for one in frame["messages"] if one["deliveredAt"]]
        for message_id in delivered:
            wanting.setdefault(message_id, (item.at, f"{frame['type']} to {item.device}"))
    for message_id, row in indexed.rows.items():
        if row.delivered_at is not None:
            wanting.setdefault(message_id, (float("inf"), "the row"))
    for message_id, (at, where) in wanting.items():
        known = indexed.rows.get(message_id)
        talk = None if known is None else indexed.talks.get(str(known.conversation))
        if known is None or talk is None:
            continue
        recipient = talk.other(known.sender)
        since = had.get((recipient, message_id))
        if since is None or since > at:
            late = "never" if since is None else f"at {since:.3f}"
            detail = f"DELIVERED at {at:.3f} by {where}; heard by {recipient} {late}"
            yield known.conversation, f"{short(known)}: {detail}"


def _first_had(indexed: Indexed) -> dict[tuple[UUID, str], float]:
    """By user and message, from when on a device may have confirmed it.

    What SYNC told as delivered already doesn't count: that is confirmed by nobody again.
    """
    opened = {
        (one.device, one.sessions[0]): one
        for one in indexed.evidence.operations
        if one.kind == "connect" and one.outcome == "ok"
    }
    had: dict[tuple[UUID, str], float] = {}
    for item in indexed.heard:
        frame = item.frame
        names: Iterable[str] = ()
        if frame["type"] == "MESSAGE_RECEIVED":
            names = (frame["messageId"],)
        elif frame["type"] == "SYNC_RESULT":
            names = [one["messageId"] for one in frame["messages"] if not one["deliveredAt"]]
        opening = opened.get((item.device, item.session))
        # A session that was lost while it opened has no operation.
        at = float("-inf") if opening is None else item.at
        if opening is not None and item.at <= opening.ended:
            at = opening.began
        for name in names:
            key = (item.user, name)
            had[key] = min(at, had.get(key, at))
    return had


def confirmed_readings_are_kept(indexed: Indexed) -> Iterator[Found]:
    """Promises 1 and 7: what somebody was told is READ is so, or deleted, in the end.

    Of `up_to_seq`: all messages up to it, which the device knew without a gap. Undecided where
    an earlier reading of the device has an unknown outcome: which answer was whose can't be told
    then, and a reading may count as confirmed because another device has read.
    """
    doubtful: set[tuple[str, UUID | None]] = set()
    for operation in sorted(indexed.evidence.operations, key=lambda one: one.ended):
        if operation.kind != "read":
            continue
        if operation.outcome == "unknown":
            doubtful.add((operation.device, operation.conversation))
        if operation.outcome != "ok":
            continue
        rows = [indexed.rows.get(str(name)) for name in operation.message_ids]
        talk = indexed.talks.get(str(operation.conversation))
        is_doubtful = (operation.device, operation.conversation) in doubtful
        if operation.up_to_seq is not None and talk is not None and not is_doubtful:
            up_to = operation.up_to_seq
            rows += [row for row in talk.rows if row.seq <= up_to and row.sender != operation.user]
        for row in rows:
            if row is not None and row.status != "READ" and row.deleted_at is None:
                yield row.conversation, f"{short(row)} was read: {told(operation)}"


def confirmed_deletions_are_kept(indexed: Indexed) -> Iterator[Found]:
    """Promise 1: what somebody was told is deleted is so."""
    for operation in indexed.evidence.operations:
        if operation.kind == "delete" and operation.outcome == "ok":
            for message_id in operation.message_ids:
                row = indexed.rows.get(str(message_id))
                if row is None:
                    yield operation.conversation, f"{message_id} is not stored; {told(operation)}"
                elif row.deleted_at is None:
                    yield row.conversation, f"{short(row)} isn't deleted; {told(operation)}"


RULES = (delivered_means_heard, confirmed_readings_are_kept, confirmed_deletions_are_kept)
