"""Nobody is told less than they were told before (promises 2, 6, 7).

"Told" is a user, not a device: by a frame that one of the devices heard, by the answer of a read
that had ended. A read that began later, of the same user by REST or SYNC, must show at least
that. The other user may see it a flush later. Live frames may overtake each other: they are no
reads.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import UUID

from tests.chaos.checking_log import is_entry
from tests.chaos.evidence import Frame, Heard, Operation, Row, Violation
from tests.chaos.indexed import Found, Indexed, Talk, messages_in, told
from tests.chaos.view import RANK

NOT_FOUND: Final = "MESSAGE_NOT_FOUND"


class Known(NamedTuple):
    """What a user was told of a message, at most."""

    rank: int = 0
    is_deleted: bool = False
    changed_seq: int = 0

    def and_also(self, other: "Known") -> "Known":
        return Known(
            max(self.rank, other.rank),
            self.is_deleted or other.is_deleted,
            max(self.changed_seq, other.changed_seq),
        )


class Knowledge:
    """What a user knows at a moment. It only grows."""

    def __init__(self) -> None:
        self.messages: dict[str, Known] = {}
        self.pushed: dict[str, int] = {}
        """By conversation, the greatest entry that came live."""

    def learn(self, message_id: str, news: Known) -> None:
        known = self.messages.get(message_id)
        self.messages[message_id] = news if known is None else known.and_also(news)

    def hear(self, frame: Frame) -> None:
        if frame["type"] == "SYNC_RESULT":
            for message in frame["messages"]:
                self.learn(message["messageId"], _known(message))
            return
        if not is_entry(frame):
            return
        conversation, seq = frame["conversationId"], frame["seq"]
        self.pushed[conversation] = max(seq, self.pushed.get(conversation, 0))
        match frame["type"]:
            case "MESSAGE_SENT" | "MESSAGE_RECEIVED":
                self.learn(frame["messageId"], Known(RANK["SENT"], changed_seq=seq))
            case "MESSAGE_DELIVERED" | "MESSAGE_READ":
                status = frame["type"].removeprefix("MESSAGE_")
                for message_id in frame["messageIds"]:
                    self.learn(message_id, Known(RANK[status], changed_seq=seq))
            case "MESSAGE_DELETED":
                self.learn(frame["messageId"], Known(is_deleted=True, changed_seq=seq))

    def ended(self, operation: Operation) -> None:
        """What its answer says."""
        for message in messages_in(operation):
            self.learn(message["messageId"], _known(message))
        if operation.outcome == "ok" and operation.kind in ("read", "delete"):
            is_read = operation.kind == "read"
            # What was deleted meanwhile is no longer read: see `_fallen`.
            news = Known(RANK["READ"]) if is_read else Known(is_deleted=True)
            for message_id in operation.message_ids:
                self.learn(str(message_id), news)


def _known(message: Frame) -> Known:
    is_deleted = message["deletedAt"] is not None
    return Known(RANK[message["status"]], is_deleted, message["changedSeq"])


def reads_never_show_less(
    indexed: Indexed, operation: Operation, knowledge: Knowledge
) -> Iterator[Found]:
    """Promise 7: status only rises, what is deleted stays so, for whoever reads it again."""
    for message in messages_in(operation):
        known = knowledge.messages.get(message["messageId"])
        if known is not None and _fallen(known, message):
            detail = f"{message} though {known} was known; {told(operation)}"
            yield operation.conversation, detail


def _fallen(known: Known, message: Frame) -> bool:
    is_deleted = message["deletedAt"] is not None
    if known.is_deleted and not is_deleted:
        return True
    if RANK[message["status"]] < known.rank and not is_deleted:
        return True
    return bool(message["changedSeq"] < known.changed_seq)


def what_was_told_is_there(
    indexed: Indexed, operation: Operation, knowledge: Knowledge
) -> Iterator[Found]:
    """Promises 2 and 6: a message that a user was told of is there in whatever they read later.

    Decided of the newest page by REST; of any other only between its first and last message, and
    beyond its last where it says that nothing follows: what was asked isn't recorded. Of a SYNC
    that isn't complete only what hasn't changed after its last entry.
    """
    talk = indexed.talks.get(str(operation.conversation))
    if operation.outcome != "ok" or operation.answer is None or talk is None:
        return
    shown = {message["messageId"] for message in messages_in(operation)}
    for row in _due(operation, operation.answer, talk):
        message_id = str(row.message_id)
        if message_id in shown or message_id not in knowledge.messages:
            continue
        known = knowledge.messages[message_id]
        if operation.kind == "history" or known.changed_seq > (operation.up_to_seq or 0):
            detail = f"{message_id} (seq {row.seq}, {known}) is missing in {told(operation)}"
            yield operation.conversation, detail


def what_was_told_is_found(
    indexed: Indexed, operation: Operation, knowledge: Knowledge
) -> Iterator[Found]:
    """Promise 2: nobody is told that a message isn't there who was told of it before."""
    error = operation.answer or {}
    if operation.outcome == "failed" and NOT_FOUND in (error.get("error"), error.get("code")):
        for message_id in operation.message_ids:
            if str(message_id) in knowledge.messages:
                yield operation.conversation, f"{message_id}: {told(operation)}"


def _due(operation: Operation, answer: Frame, talk: Talk) -> list[Row]:
    """Rows that the answer should hold, if the user knew them as they are in the end."""
    if operation.kind == "history":
        return _between(operation, answer, talk)
    if operation.kind != "sync" or operation.up_to_seq is None:
        return []
    rows, changed = talk.by_change, _changed_seq
    begin = bisect_right(rows, operation.up_to_seq, key=changed)
    if answer["complete"]:
        return rows[begin:]
    return rows[begin : bisect_right(rows, answer["messages"][-1]["changedSeq"], key=changed)]


def _between(operation: Operation, page: Frame, talk: Talk) -> list[Row]:
    numbers = [message["seq"] for message in page["items"]]
    if operation.is_newest:
        has_older = page["nextCursor"] is not None
        return talk.rows[bisect_left(talk.rows, min(numbers), key=_seq) if has_older else 0 :]
    if len(numbers) < 2:
        return []
    begin = bisect_left(talk.rows, min(numbers), key=_seq)
    end = bisect_right(talk.rows, max(numbers), key=_seq)
    if page["nextCursor"] is None:
        is_rising = numbers[0] < numbers[1]
        begin, end = (begin, len(talk.rows)) if is_rising else (0, end)
    return talk.rows[begin:end]


def _seq(row: Row) -> int:
    return row.seq


def _changed_seq(row: Row) -> int:
    return row.changed_seq


def heads_never_fall(
    indexed: Indexed, operation: Operation, knowledge: Knowledge
) -> Iterator[Found]:
    """Promise 6: where a log stands, as CONNECT_SUCCESS and SYNC say, is no lower than what came.

    Else whoever comes back doesn't know that there is something to ask for.
    """
    if operation.outcome != "ok" or operation.answer is None:
        return
    heads: dict[str, int] = {}
    if operation.kind == "connect":
        # Of every conversation, unless it is archived.
        heads = {
            name: operation.answer["heads"].get(name, 0)
            for name in knowledge.pushed
            if name in indexed.talks and indexed.talks[name].archived_seq is None
        }
    elif operation.kind == "sync":
        heads = {str(operation.conversation): operation.answer["head"]}
    for name, head in heads.items():
        if head < knowledge.pushed.get(name, 0):
            detail = f"head {head} after {knowledge.pushed[name]} had come; {told(operation)}"
            yield UUID(name), detail


def _reads(indexed: Indexed) -> Iterator[tuple[Operation, Knowledge]]:
    """All operations as they began, each with what its user knew at that moment."""
    moments: list[tuple[float, int, int, Heard | Operation]] = []
    for item in indexed.heard:
        moments.append((item.at, 1, len(moments), item))
    for operation in indexed.evidence.operations:
        # What began and what was heard at the same time: not one after the other.
        moments.append((operation.began, 0, len(moments), operation))
        moments.append((operation.ended, 1, len(moments), operation))
    moments.sort(key=lambda moment: moment[:3])
    known: defaultdict[UUID, Knowledge] = defaultdict(Knowledge)
    for _, is_news, _, what in moments:
        knowledge = known[what.user]
        if isinstance(what, Heard):
            knowledge.hear(what.frame)
        elif is_news:
            knowledge.ended(what)
        else:
            yield what, knowledge


RULES: Final = (
    reads_never_show_less,
    what_was_told_is_there,
    what_was_told_is_found,
    heads_never_fall,
)


def violations(indexed: Indexed) -> Iterator[Violation]:
    """Of all these rules, in one pass over all that happened."""
    for operation, knowledge in _reads(indexed):
        for rule in RULES:
            for conversation, detail in rule(indexed, operation, knowledge):
                yield Violation(rule.__name__, conversation, detail)
