"""How much one SYNC_RESULT holds."""

from uuid import uuid4

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from libs.common.protocol.messages import Message
from services.router.catching_up import PAGE_BYTES, fitting
from services.router.conversation import ENTRY_MOST

CONVERSATION, SENDER = uuid4(), uuid4()
NOW = "2025-11-24T16:00:00.123Z"


def message(seq: int, content: str) -> Message:
    ids = uuid4(), CONVERSATION, SENDER
    return Message(*ids, content, "READ", NOW, NOW, NOW, None, 1, changed_seq=seq)


@given(st.lists(st.tuples(st.integers(1, ENTRY_MOST), st.sampled_from("x漢")), max_size=6))
def test_a_page_is_whole_entries_and_fits(entries: list[tuple[int, str]]) -> None:
    messages = [
        message(seq, character * 4_000)
        for seq, (count, character) in enumerate(entries, 2)
        for _ in range(count)
    ]
    page = fitting(messages)
    assert page == messages[: len(page)]
    rest = messages[len(page) :]
    if rest:
        assert rest[0].changed_seq > page[-1].changed_seq, "an entry can't be asked for in part"
        behind = [one for one in rest if one.changed_seq == rest[0].changed_seq]
        assert size(page + behind) > PAGE_BYTES
    assert size(page) <= PAGE_BYTES or len({one.changed_seq for one in page}) == 1
    assert bool(page) == bool(messages), "whoever asks gets on"


def size(messages: list[Message]) -> int:
    return sum(len(msgspec.json.encode(one)) for one in messages)


def test_short_messages_come_all_at_once() -> None:
    messages = [message(seq, "hello") for seq in range(2, 202)]
    assert fitting(messages) == messages
