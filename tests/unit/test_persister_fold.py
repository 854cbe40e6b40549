"""Writes, batched in any split and redelivered in between, leave what one by one would."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.domain.status import Status
from libs.common.protocol.writes import (
    ArchiveConversation,
    DeleteContent,
    Entry,
    InsertConversation,
    InsertMessage,
    MarkDelivered,
    MarkRead,
)
from services.persister.fold import ConversationRow, MessageRow, Rows, StatusRow, fold


@dataclass
class Message:
    status: Status = Status.SENT
    delivered_at: int | None = None
    read_at: int | None = None
    changed_seq: int = 0
    deleted_at: int | None = None


@dataclass
class Conversation:
    head: int = 0
    message_seq: int = 0
    message_id: UUID | None = None
    active_at: int = 0
    read_up_to: tuple[int, int] = (0, 0)
    archived_at: int | None = None


class Tables:
    """What queries.sql does with rows, in a few lines; the real one is tested with PostgreSQL."""

    def __init__(self) -> None:
        self.messages: dict[UUID, Message] = {}
        self.conversations: dict[UUID, Conversation] = {}
        self.audited: list[DeleteContent | ArchiveConversation] = []

    def apply(self, entries: list[Entry]) -> None:
        rows = fold(entries)
        for new in rows.new_conversations:
            self.conversations.setdefault(new, Conversation())
        for row in rows.messages:
            self._raise(self.messages.setdefault(row.message_id, Message()), row)
        for status in rows.statuses.values():
            self._raise(self.messages[status.message_id], status)
        for deletion in rows.deletions.values():
            self._delete(deletion)
        for archiving in rows.archivings.values():
            self._archive(archiving)
        for conversation in rows.conversations.values():
            self._advance(self.conversations[conversation.conversation_id], conversation)

    def _raise(self, old: Message, row: MessageRow | StatusRow) -> None:
        old.status = max(old.status, row.status)
        old.delivered_at = earlier(old.delivered_at, row.delivered_at)
        old.read_at = earlier(old.read_at, row.read_at)
        old.changed_seq = max(old.changed_seq, row.changed_seq)

    def _delete(self, deletion: DeleteContent) -> None:
        old = self.messages[deletion.message_id]
        if old.deleted_at is None:
            old.deleted_at = deletion.deleted_at
            old.changed_seq = max(old.changed_seq, deletion.seq)
            self.audited.append(deletion)

    def _archive(self, archiving: ArchiveConversation) -> None:
        old = self.conversations[archiving.conversation_id]
        if old.archived_at is None:
            old.archived_at = archiving.archived_at
            self.audited.append(archiving)

    def _advance(self, old: Conversation, row: ConversationRow) -> None:
        if (row.message_seq or 0) > old.message_seq:
            old.message_seq, old.message_id = row.message_seq or 0, row.message_id
        old.head = max(old.head, row.head)
        old.active_at = max(old.active_at, row.active_at)
        marks = [max(pair) for pair in zip(old.read_up_to, row.read_up_to, strict=True)]
        old.read_up_to = marks[0], marks[1]


def earlier(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)


def conversation_id(number: int) -> UUID:
    return UUID(int=number + 1)


def message_id(number: int, seq: int) -> UUID:
    return UUID(int=(number + 1) * 1000 + seq)


def created(number: int) -> InsertConversation:
    users = UUID(int=901), UUID(int=902)
    return InsertConversation(conversation_id(number), 1, UUID(int=number + 800), *users, 1_000)


def sent(number: int, seq: int) -> InsertMessage:
    ids = message_id(number, seq), UUID(int=901), None
    return InsertMessage(conversation_id(number), seq, *ids, "hello", 1_000 + seq)


def delivered(number: int, seq: int, *of: int) -> MarkDelivered:
    ids = [message_id(number, other) for other in of]
    return MarkDelivered(conversation_id(number), seq, ids, 5_000 + seq)


def read(number: int, seq: int, *of: int, up_to: tuple[int, int] = (0, 0)) -> MarkRead:
    ids = [message_id(number, other) for other in of]
    return MarkRead(conversation_id(number), seq, ids, 7_000 + seq, up_to)


def deleted(number: int, seq: int, of: int) -> DeleteContent:
    ids = conversation_id(number), seq, message_id(number, of)
    return DeleteContent(*ids, UUID(int=901), 8_000 + seq)


def archived(number: int, seq: int) -> ArchiveConversation:
    return ArchiveConversation(conversation_id(number), seq, None, 9_000 + seq)


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """Two conversations' logs, interleaved."""
    entries: list[Entry] = [created(0), created(1)]
    heads = [1, 1]
    sent_seqs: list[list[int]] = [[], []]
    kinds = st.sampled_from(["sent", "sent", "sent", "delivered", "read", "deleted", "archived"])
    for _ in range(draw(st.integers(0, 25))):
        number = draw(st.integers(0, 1))
        heads[number] += 1
        seqs = sent_seqs[number]
        kind = draw(kinds)
        if kind == "sent" or not seqs:
            seqs.append(heads[number])
            entries.append(sent(number, heads[number]))
        else:
            entries.append(draw(changes(kind, number, heads[number], seqs)))
    return entries


@st.composite
def changes(draw: st.DrawFn, kind: str, number: int, seq: int, seqs: list[int]) -> Entry:
    """Of messages with these numbers. Some change what was changed before."""
    if kind == "archived":
        return archived(number, seq)
    if kind == "deleted":
        return deleted(number, seq, draw(st.sampled_from(seqs)))
    of = sorted(draw(st.sets(st.sampled_from(seqs), min_size=1, max_size=4)))
    if kind == "delivered":
        return delivered(number, seq, *of)
    mark = st.integers(0, seq)
    return read(number, seq, *of, up_to=(draw(mark), draw(mark)))


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Entry], list[list[Entry]]]:
    """A log, and the batches in which it comes: in order, parts of it again at any time."""
    log = draw(logs())
    batches: list[list[Entry]] = []
    done = 0
    while done < len(log):
        back = draw(st.integers(0, done))
        end = draw(st.integers(done + 1, len(log)))
        batches.append(log[back:end] if draw(st.booleans()) else log[done:end])
        if draw(st.booleans()):
            start = draw(st.integers(0, end - 1))
            batches.append(log[start : draw(st.integers(start + 1, end))])
        done = end
    return log, batches


@settings(deadline=None)
@given(deliveries())
def test_any_split_with_redeliveries_is_the_same_as_one_by_one(
    given: tuple[list[Entry], list[list[Entry]]],
) -> None:
    log, batches = given
    singly, batched = Tables(), Tables()
    for entry in log:
        singly.apply([entry])
    for batch in batches:
        batched.apply(batch)
    assert batched.messages == singly.messages
    assert batched.conversations == singly.conversations
    assert Counter(batched.audited) == Counter(singly.audited), "each audited once"


@settings(deadline=None)
@given(deliveries())
def test_every_table_gets_one_row_for_one_thing(
    given: tuple[list[Entry], list[list[Entry]]],
) -> None:
    for batch in given[1]:
        rows = fold(batch)
        ids = [row.message_id for row in rows.messages] + list(rows.statuses)
        assert len(ids) == len(set(ids))


def test_a_message_and_its_delivery_are_one_row() -> None:
    rows = fold([sent(0, 2), delivered(0, 3, 2)])
    [row] = rows.messages
    assert (row.status, row.delivered_at, row.changed_seq) == (Status.DELIVERED, 5_003, 3)
    assert not rows.statuses


def test_a_delivery_of_a_stored_message_is_one_update() -> None:
    rows = fold([delivered(0, 7, 2, 3), delivered(0, 8, 3)])
    assert [(row.message_id, row.changed_seq) for row in rows.statuses.values()] == [
        (message_id(0, 2), 7),
        (message_id(0, 3), 8),
    ]


def test_a_conversation_moves_once_however_much_happened() -> None:
    rows = fold([created(0), sent(0, 2), sent(0, 3), delivered(0, 4, 2)])
    assert rows.conversations == {
        conversation_id(0): ConversationRow(
            conversation_id(0),
            head=4,
            message_seq=3,
            message_id=message_id(0, 3),
            first_message_seq=2,
            active_at=1_003,
        )
    }


def test_read_without_delivered_leaves_no_moment_of_delivery() -> None:
    [row] = fold([sent(0, 2), read(0, 3, 2)]).messages
    assert (row.status, row.delivered_at, row.read_at) == (Status.READ, None, 7_003)


def test_a_delivery_after_a_reading_lowers_nothing() -> None:
    [row] = fold([read(0, 4, 2), delivered(0, 3, 2)]).statuses.values()
    assert (row.status, row.delivered_at, row.read_at) == (Status.READ, 5_003, 7_004)
    assert row.changed_seq == 4


def test_read_marks_are_maxima_each() -> None:
    rows = fold([read(0, 4, 2, up_to=(3, 0)), read(0, 5, 3, up_to=(1, 4))])
    assert rows.conversations[conversation_id(0)].read_up_to == (3, 4)


def test_the_first_deletion_and_the_first_archiving_count() -> None:
    rows = fold([deleted(0, 4, 2), archived(0, 5), deleted(0, 6, 2), archived(0, 7)])
    assert list(rows.deletions.values()) == [deleted(0, 4, 2)]
    assert list(rows.archivings.values()) == [archived(0, 5)]


def test_one_id_at_two_places_reaches_the_database_twice() -> None:
    twice = InsertMessage(conversation_id(0), 9, message_id(0, 2), UUID(int=901), None, "hi", 1)
    assert [row.message.seq for row in fold([sent(0, 2), twice]).messages] == [2, 9]


def test_nothing_is_no_rows() -> None:
    assert fold([]) == Rows()
