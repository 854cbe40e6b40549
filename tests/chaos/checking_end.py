"""What is stored and told when all has come to rest (promises 3, 6, 8, 9)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID

from tests.chaos.evidence import NEWEST, Frame, History, Synced
from tests.chaos.indexed import SHOWN, Found, Indexed, Talk, short, told


def histories_are_the_rows(indexed: Indexed) -> Iterator[Found]:
    """Promise 3: by REST both users read all rows, in the order of seq, and the head; promise 2:
    the newest page, which has a copy in Redis, is as new."""
    for history in indexed.evidence.histories:
        talk = indexed.talks.get(str(history.conversation))
        if talk is None:
            continue
        whose = f"history of {history.user}"
        expected = [indexed.as_told[str(row.message_id)] for row in talk.rows]
        if wrong := _unlike(history.messages, expected):
            yield history.conversation, f"{whose}: {wrong}"
        newest = expected[::-1][: len(history.newest)]
        if wrong := _unlike(history.newest, newest):
            yield history.conversation, f"newest page of the {whose}: {wrong}"
        elif len(newest) < min(NEWEST, len(expected)):
            yield history.conversation, f"newest page of the {whose}: only {len(newest)} messages"
        if history.head != talk.head:
            yield history.conversation, f"{whose}: head {history.head}, not {talk.head}"


def syncs_are_the_rows(indexed: Indexed) -> Iterator[Found]:
    """Promise 6: SYNC after a number gives what was changed later, by its newest entry.

    In which order come several that one entry changed isn't promised.
    """
    for synced in indexed.evidence.synced:
        talk = indexed.talks.get(str(synced.conversation))
        if talk is None:
            continue
        whose = f"SYNC of {synced.user} after {synced.after}"
        expected = [
            indexed.as_told[str(row.message_id)]
            for row in talk.by_change
            if row.changed_seq > synced.after
        ]
        changes = [message["changedSeq"] for message in synced.messages]
        in_order = sorted(synced.messages, key=lambda one: (one["changedSeq"], one["seq"]))
        if wrong := _unlike(in_order, expected):
            yield synced.conversation, f"{whose}: {wrong}"
        elif changes != sorted(changes):
            yield synced.conversation, f"{whose}: not in the order of changedSeq, {changes}"
        if synced.head != talk.head:
            yield synced.conversation, f"{whose}: head {synced.head}, not {talk.head}"


def snapshots_are_the_rows(indexed: Indexed) -> Iterator[Found]:
    """Promise 6: what a device has folded from SYNC and live frames is what is stored."""
    for snapshot in indexed.evidence.snapshots:
        talk = indexed.talks.get(str(snapshot.conversation))
        if talk is None:
            continue
        shown = [{"messageId": name, **fields} for name, fields in snapshot.shown.items()]
        shown.sort(key=lambda one: one["seq"])
        expected = [indexed.as_told[str(row.message_id)] for row in talk.rows]
        if wrong := _unlike(shown, expected):
            yield snapshot.conversation, f"{snapshot.device} shows: {wrong}"
        if snapshot.head != talk.head:
            detail = f"{snapshot.device} is at {snapshot.head} of {talk.head}"
            yield snapshot.conversation, detail


def _unlike(given: Sequence[Frame], expected: Sequence[Frame]) -> str:
    """What distinguishes them first. Fields that are not told at all don't count."""
    by_id = {message["messageId"]: message for message in expected}
    ids = {message["messageId"] for message in given}
    if len(ids) < len(given):
        return f"{len(given) - len(ids)} come twice"
    if missing := [message for name, message in by_id.items() if name not in ids]:
        return f"{len(missing)} of {len(expected)} missing, such as {missing[0]}"
    for message in given:
        stored = by_id.get(message["messageId"])
        if stored is None:
            return f"not stored or not to be told: {message}"
        for name in SHOWN:
            if message.get(name, stored[name]) != stored[name]:
                return f"{name} {message[name]!r} of {stored}"
    if [message["messageId"] for message in given] != list(by_id):
        return f"not in order: {[message['seq'] for message in given]}"
    return ""


def unread_is_true(indexed: Indexed) -> Iterator[Found]:
    """Promise 8: what is unread are the other's messages that are neither READ nor deleted.

    Undecided: archived conversations, which GET /unread leaves out.
    """
    for history in indexed.evidence.histories:
        talk = indexed.talks.get(str(history.conversation))
        if talk is None or talk.archived_seq is not None:
            continue
        truth = _unread(talk, history.user)
        if history.unread != truth:
            detail = f"unreadCount of {history.user} is {history.unread}, not {truth}"
            yield history.conversation, detail
    truths = _truths(indexed)
    for unread in indexed.evidence.unread:
        counts = {name: count for name, count in unread.conversations.items() if count}
        for name in counts.keys() | truths[unread.user].keys():
            count, truth = counts.get(name, 0), truths[unread.user].get(name, 0)
            if count != truth:
                yield UUID(name), f"/unread of {unread.user} says {count}, not {truth}"
        if unread.total != sum(counts.values()):
            yield None, f"/unread of {unread.user}: total {unread.total} of {counts}"


def _truths(indexed: Indexed) -> defaultdict[UUID, dict[str, int]]:
    """By user and conversation; none is 0."""
    truths: defaultdict[UUID, dict[str, int]] = defaultdict(dict)
    for name, talk in indexed.talks.items():
        for user in talk.users:
            if talk.archived_seq is None and (count := _unread(talk, user)):
                truths[user][name] = count
    return truths


def _unread(talk: Talk, user: UUID) -> int:
    return sum(
        row.sender != user and row.status != "READ" and row.deleted_at is None for row in talk.rows
    )


def deleted_content_is_gone(indexed: Indexed) -> Iterator[Found]:
    """A deleted message's content is gone for both: stored, told and shown by their devices."""
    deleted = {name: row for name, row in indexed.rows.items() if row.deleted_at is not None}
    for row in deleted.values():
        if row.content:
            yield row.conversation, f"{short(row)} still has its content"
    everything: list[History | Synced] = [*indexed.evidence.histories, *indexed.evidence.synced]
    for told_to in everything:
        for message in told_to.messages:
            if message["messageId"] in deleted and message["content"] is not None:
                yield told_to.conversation, f"{told_to.user} is told {message}"
    for snapshot in indexed.evidence.snapshots:
        for name, shown in snapshot.shown.items():
            if name in deleted and shown["content"] is not None:
                yield snapshot.conversation, f"{snapshot.device} shows {name}: {shown}"


def queues_are_empty(indexed: Indexed) -> Iterator[Found]:
    """Promise 9: nothing stops the others."""
    for name, count in indexed.evidence.queued.items():
        if count:
            yield None, f"{count} in {name}"


def dead_letters_are_explained(indexed: Indexed) -> Iterator[Found]:
    """Promise 9: what is dead was poison; nothing that a client sent is."""
    for letter in indexed.evidence.dead:
        if not letter.is_explained:
            yield None, f"from {letter.source}: {letter.reason}; {letter.body[:200]!r}"


def sessions_begin_with_connect_success(indexed: Indexed) -> Iterator[Found]:
    """It is the first frame, once; and nobody with a good token is sent away for good."""
    begun: set[tuple[str, int]] = set()
    for item in indexed.heard:
        session = (item.device, item.session)
        if (item.frame["type"] == "CONNECT_SUCCESS") == (session in begun):
            yield None, f"{item.device}/{item.session} at {item.at:.3f}: {item.frame}"
        begun.add(session)
    for operation in indexed.evidence.operations:
        if operation.kind == "connect" and operation.outcome == "failed":
            yield None, f"turned away for good, {operation.answer}: {told(operation)}"


def untouched_sessions_live(indexed: Indexed) -> Iterator[Found]:
    """A fault ends no session that it doesn't touch. What it touches, whoever struck has judged."""
    for injection in indexed.evidence.injections:
        for session in injection.untouched_closed:
            yield None, f"{injection.fault} at {injection.began:.3f} closed {session}"


RULES = (
    histories_are_the_rows,
    syncs_are_the_rows,
    snapshots_are_the_rows,
    unread_is_true,
    deleted_content_is_gone,
    queues_are_empty,
    dead_letters_are_explained,
    sessions_begin_with_connect_success,
    untouched_sessions_live,
)
