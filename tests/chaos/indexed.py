"""The evidence, arranged once for all rules: what is stored by id and by place, who sent what."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from uuid import UUID

from tests.chaos.evidence import Conversation, Evidence, Frame, Operation, Row

Found = tuple[UUID | None, str]
"""What a rule finds wrong: the conversation, and what would help to find out why."""
Identity = tuple[UUID, UUID | str]
"""What makes two tries the same message: its sender, and clientMessageId or else content."""

SHOWN: Final = (
    *("messageId", "conversationId", "senderId", "content", "status", "timestamp"),
    *("deliveredAt", "readAt", "deletedAt", "seq", "changedSeq"),
)
"""The fields of a `Message` that are the same for both users."""


class Shown(NamedTuple):
    """A `Message` object that somebody was told."""

    user: UUID
    message: Frame
    where: str
    """Who was told it, how and when."""


class Talk:
    """A conversation as it is stored."""

    def __init__(self, stored: Conversation, rows: Iterable[Row]) -> None:
        self.conversation = stored.conversation
        self.users = stored.users
        self.head = stored.head
        self.archived_seq = stored.archived_seq
        self.rows = sorted(rows, key=lambda row: row.seq)
        self.by_change = sorted(self.rows, key=lambda row: (row.changed_seq, row.seq))

    def other(self, user: UUID) -> UUID:
        one, other = self.users
        return one if user == other else other


class Indexed:
    """Keys are ids as frames have them: texts."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.heard = sorted(evidence.heard, key=lambda item: item.at)
        self.rows: dict[str, Row] = {str(row.message_id): row for row in evidence.rows}
        rows: defaultdict[UUID, list[Row]] = defaultdict(list)
        for row in evidence.rows:
            rows[row.conversation].append(row)
        self.talks: dict[str, Talk] = {
            str(one.conversation): Talk(one, rows[one.conversation])
            for one in evidence.conversations
        }
        self.sends: defaultdict[Identity, list[Operation]] = defaultdict(list)
        self.answered: dict[str, Operation] = {}
        """Of the acknowledged sends one, by messageId."""
        for operation in evidence.operations:
            if operation.kind == "send":
                self.sends[identity_of(operation)].append(operation)
                if operation.outcome == "ok" and operation.answer:
                    self.answered[operation.answer["messageId"]] = operation
        self.as_told: dict[str, Frame] = {key: message_of(row) for key, row in self.rows.items()}
        """Of each row, the `Message` that its sender must be told in the end."""

    def sent_contents(self, row: Row) -> set[str]:
        """What was sent as this message; empty when that can't be told (deleted, without an id)."""
        if row.client_message_id is not None:
            sends = self.sends.get((row.sender, row.client_message_id), [])
        else:
            sends = [one for one in [self.answered.get(str(row.message_id))] if one is not None]
        return {send.content.strip() for send in sends}

    def shown(self) -> Iterator[Shown]:
        """Every `Message` that anybody was told: while it went on, and in the end."""
        yield from self._shown_meanwhile()
        for history in self.evidence.histories:
            for message in history.messages:
                yield Shown(history.user, message, f"history of {history.user} in the end")
        for synced in self.evidence.synced:
            for message in synced.messages:
                where = f"SYNC of {synced.user} after {synced.after} in the end"
                yield Shown(synced.user, message, where)

    def _shown_meanwhile(self) -> Iterator[Shown]:
        for item in self.heard:
            if item.frame["type"] == "SYNC_RESULT":
                where = f"SYNC_RESULT to {item.device}/{item.session} at {item.at:.3f}"
                for message in item.frame["messages"]:
                    yield Shown(item.user, message, where)
        for operation in self.evidence.operations:
            if operation.kind in ("look", "history"):
                where = f"{operation.kind} of {operation.device} at {operation.began:.3f}"
                for message in messages_in(operation):
                    yield Shown(operation.user, message, where)


def identity_of(one: Operation | Row) -> Identity:
    """Of a send, or of a row that isn't deleted or has an id."""
    sender = one.user if isinstance(one, Operation) else one.sender
    return sender, one.client_message_id or one.content.strip()


def message_of(row: Row) -> Frame:
    """As its sender is told it; the other gets no clientMessageId."""
    return {
        "messageId": str(row.message_id),
        "conversationId": str(row.conversation),
        "senderId": str(row.sender),
        "content": None if row.deleted_at else row.content,
        "status": row.status,
        "timestamp": row.timestamp,
        "deliveredAt": row.delivered_at,
        "readAt": row.read_at,
        "deletedAt": row.deleted_at,
        "seq": row.seq,
        "changedSeq": row.changed_seq,
        "clientMessageId": str(row.client_message_id) if row.client_message_id else None,
    }


def messages_in(operation: Operation) -> list[Frame]:
    """What an operation that reads was told; nothing when it had no answer."""
    if operation.outcome != "ok" or operation.answer is None:
        return []
    match operation.kind:
        case "look":
            return [operation.answer]
        case "history":
            return list(operation.answer["items"])
        case "sync":
            return list(operation.answer["messages"])
        case _:
            return []


def short(row: Row) -> str:
    """A row in a violation's text."""
    deleted = ", deleted" if row.deleted_at else ""
    return f"message {row.message_id} (seq {row.seq}, {row.status} at {row.changed_seq}{deleted})"


def told(operation: Operation) -> str:
    """An operation in a violation's text."""
    return (
        f"{operation.kind} of {operation.device}, {operation.began:.3f} to {operation.ended:.3f}, "
        f"sessions {operation.sessions}"
    )
