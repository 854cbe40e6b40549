"""What the terminal chat shows, line by line."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from libs.client.outbox import Item
from libs.client.state import State
from local.terminal.conversation import Conversation
from local.terminal.lines import Line, Looking, Tick, lines_of
from local.terminal.message import Message
from local.terminal.names import NAMES, name_of
from local.terminal.rows import banner_of, presence_of, rows_of
from local.terminal.text import in_one_line, printable

ME, OTHER = uuid4(), uuid4()
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)
NAME = name_of(OTHER)


def message(seq: int, sender: UUID = OTHER, at: datetime = NOW, status: str = "SENT") -> Message:
    return Message(f"m{seq}", sender, f"text {seq}", at, seq, status)


def conversation(*messages: Message) -> Conversation:
    last = messages[-1] if messages else None
    return Conversation(uuid4(), OTHER, NOW, 9, 9, messages=messages, last=last, is_loaded=True)


def shown(one: Conversation, *outbox: Item, **looking: object) -> list[Line]:
    return list(lines_of(one, outbox, replace(Looking(ME, NOW.date(), UTC), **looking)))  # type: ignore[arg-type]


def test_days_and_what_is_new_stand_between_the_messages() -> None:
    one = conversation(
        message(2, at=NOW - timedelta(days=30)), message(3, at=YESTERDAY), message(4), message(5)
    )
    assert [line.text for line in shown(one, divider="m5")] == [
        f"You and {NAME} matched. Say hello.",
        "27 October 2026",
        "text 2",
        "Yesterday",
        "text 3",
        "Today",
        "text 4",
        "New messages",
        "text 5",
    ]


def test_keys_are_unique_and_stay() -> None:
    one = conversation(message(2, at=YESTERDAY), message(3))
    lines = shown(one, divider="m3", is_typing=True)
    assert len({line.key for line in lines}) == len(lines)
    later = replace(one, messages=(*one.messages, message(4)))
    assert {line.key for line in lines} <= {
        line.key for line in shown(later, divider="m3", is_typing=True)
    }


@pytest.mark.parametrize("status", ["SENT", "DELIVERED", "READ"])
def test_ticks_are_on_ones_own_messages(status: str) -> None:
    one = conversation(message(2, ME, status=status), message(3, status=status))
    mine, theirs = shown(one)[-2:]
    assert (mine.author, mine.tick) == ("You", Tick[status])
    assert (theirs.author, theirs.tick) == (NAME, None)
    assert len({tick.word for tick in Tick}) == len(Tick), "told apart without colours"


def test_what_has_no_answer_comes_last_and_what_is_refused_says_why() -> None:
    one = conversation(message(2))
    waits = Item(uuid4(), one.id, "waits")
    refused = Item(uuid4(), one.id, "refused", "CONVERSATION_ARCHIVED")
    elsewhere = Item(uuid4(), uuid4(), "elsewhere")
    first, second = shown(one, waits, refused, elsewhere)[-2:]
    assert (first.text, first.tick, first.trouble) == ("waits", Tick.SENDING, "")
    assert (second.text, second.tick) == ("refused", Tick.FAILED)
    assert "the conversation is archived" in second.trouble
    assert second.can_be_chosen


def test_a_tombstone_and_an_empty_chat() -> None:
    gone = replace(message(2, ME), is_deleted=True, content="")
    [line] = [line for line in shown(conversation(gone)) if line.kind == "gone"]
    assert (line.text, line.tick) == ("Message deleted", None)
    assert shown(conversation(), hint="Do this.")[-1].text == "Do this."
    assert shown(conversation(message(2)), hint="Do this.")[-1].text == "text 2"
    unloaded = replace(conversation(), is_loaded=False)
    assert [line.text for line in shown(unloaded)] == ["Loading…"]


def test_rows_are_by_activity_and_the_archived_ones_below() -> None:
    old = replace(conversation(message(2)), active_at=YESTERDAY, unread=120)
    new = replace(conversation(message(3, ME)), is_online=True)
    archived = replace(conversation(), is_archived=True)
    typing = replace(conversation(message(4)), active_at=NOW - timedelta(hours=1), typing_until=5.0)
    rows = rows_of([archived, old, new, typing], ME, new.id, (NOW, 4.0))
    assert [row.preview for row in rows] == ["You: text 3", "typing…", "text 2", "Say hello"]
    assert [row.when for row in rows] == ["12:00", "11:00", "25 Nov", "12:00"]
    assert [row.unread for row in rows] == ["", "", "99+", ""]
    assert [row.is_open for row in rows] == [True, False, False, False]
    assert rows_of([typing], ME, None, (NOW, 5.0))[0].preview == "text 4", "typing has ended"


def test_presence() -> None:
    one = conversation()
    assert presence_of(one, NOW, 0.0) == "offline"
    assert presence_of(replace(one, last_seen_at=YESTERDAY), NOW, 0.0) == "last seen 25 Nov"
    assert presence_of(replace(one, is_online=True, typing_until=2.0), NOW, 1.0) == "typing…"
    assert presence_of(replace(one, is_online=True, typing_until=2.0), NOW, 2.0) == "online"
    assert presence_of(replace(one, is_archived=True), NOW, 0.0) == "archived"


def test_the_banner_counts_down() -> None:
    assert banner_of(State("online"), 3, 0.0) == ""
    assert banner_of(State("connecting"), 0, 0.0) == "Connecting…"
    waiting = State("waiting", retry_at=10.0)
    assert banner_of(waiting, 0, 7.5).startswith("Offline. Trying again in 3 s;")
    assert banner_of(waiting, 1, 11.0).endswith(
        "in 0 s; Ctrl+T tries now. 1 message waits to be sent."
    )
    stopped = State("stopped", code=4401, reason="closed 4401")
    assert banner_of(stopped, 2, 0.0) == (
        "Signed out: closed 4401. Ctrl+T connects again. 2 messages wait to be sent."
    )
    assert banner_of(State("stopped"), 0, 0.0) == "", "not begun yet"


def test_escape_sequences_and_overrides_are_shown_and_not_obeyed() -> None:
    nasty = "\x1b]0;title\x07 \x9b31m \u202eabc\u2066 \x7f\x00 a\r\nb\rc\td"
    assert printable(nasty) == "␛]0;title␇ \ufffd31m \ufffdabc\ufffd ␡␀ a\nb␍c    d"
    assert in_one_line("  a\n\n b\t\x1b ") == "a b ␛"
    kept = "مرحبا 你好 👩‍👩‍👧 é \u200f"
    assert printable(kept) == kept


def test_names_are_those_of_the_web_chat() -> None:
    source = (Path(__file__).parents[2] / "web/app/names.js").read_text()
    block = source[source.index("const NAMES") : source.index(".split")]
    assert "".join(re.findall(r'"([^"]*)"', block)).split() == list(NAMES)
    # As node has it: nameOf("11111111-1111-4111-8111-111111111111"), and "2222…".
    ids = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")
    assert [name_of(UUID(one)) for one in ids] == ["Kai", "Elif"]
