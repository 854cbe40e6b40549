"""Writes, batched in any split and redelivered in between, leave what one by one would."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.status import Status
from libs.common.protocol.writes import Entry, InsertConversation, InsertMessage, MarkDelivered
from services.persister.fold import ConversationRow, MessageRow, Rows, StatusRow, fold


class Tables:
    """What queries.sql does with rows, in a few lines; the real one is tested with PostgreSQL."""

    def __init__(self) -> None:
        self.messages: dict[UUID, tuple[Status, int | None, int]] = {}
        self.conversations: dict[UUID, tuple[int, int, UUID | None, int]] = {}

    def apply(self, entries: list[Entry]) -> None:
        rows = fold(entries)
        for new in rows.new_conversations:
            self.conversations.setdefault(new, (0, 0, None, 0))
        for row in rows.messages:
            self._raise(row)
        for status in rows.statuses.values():
            self._raise(status)
        for conversation in rows.conversations.values():
            self._advance(conversation)

    def _raise(self, row: MessageRow | StatusRow) -> None:
        old = self.messages.get(row.message_id)
        if old is None:
            assert isinstance(row, MessageRow), "a status of a message that does not exist"
            old = (Status.SENT, None, 0)
        times = [time for time in (old[1], row.delivered_at) if time is not None]
        self.messages[row.message_id] = (
            max(old[0], row.status),
            min(times) if times else None,
            max(old[2], row.changed_seq),
        )

    def _advance(self, row: ConversationRow) -> None:
        head, seq, message_id, active_at = self.conversations[row.conversation_id]
        if (row.message_seq or 0) > seq:
            seq, message_id = row.message_seq or 0, row.message_id
        self.conversations[row.conversation_id] = (
            max(head, row.head),
            seq,
            message_id,
            max(active_at, row.active_at),
        )


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


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """Two conversations' logs, interleaved."""
    entries: list[Entry] = [created(0), created(1)]
    heads = [1, 1]
    sent_seqs: list[list[int]] = [[], []]
    for _ in range(draw(st.integers(0, 25))):
        number = draw(st.integers(0, 1))
        heads[number] += 1
        seqs = sent_seqs[number]
        some = draw(st.booleans())
        if seqs and some:
            of = draw(st.sets(st.sampled_from(seqs), min_size=1, max_size=4))
            entries.append(delivered(number, heads[number], *sorted(of)))
        else:
            seqs.append(heads[number])
            entries.append(sent(number, heads[number]))
    return entries


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
        conversation_id(0): ConversationRow(conversation_id(0), 4, 3, message_id(0, 3), 1_003)
    }


def test_one_id_at_two_places_reaches_the_database_twice() -> None:
    twice = InsertMessage(conversation_id(0), 9, message_id(0, 2), UUID(int=901), None, "hi", 1)
    assert [row.message.seq for row in fold([sent(0, 2), twice]).messages] == [2, 9]


def test_nothing_is_no_rows() -> None:
    assert fold([]) == Rows()
