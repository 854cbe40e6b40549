"""Batches as bytes: a bad item never spoils its neighbours (promise 9)."""

from uuid import uuid4

import msgspec
import pytest

from libs.common.protocol.codec import EVENTS, WRITES, Codec, reason_of
from libs.common.protocol.events import Delivered, Event, Send
from libs.common.protocol.writes import Barrier, MarkDelivered


def send(content: str = "hello") -> Send:
    return Send(uuid4(), uuid4(), uuid4(), None, content, 5, uuid4(), "gateway")


def test_a_batch_goes_there_and_back_in_order() -> None:
    batch: list[Event] = [
        send(),
        Delivered(uuid4(), uuid4(), [uuid4(), uuid4()], 7),
        send("\U0001f600"),
    ]
    assert EVENTS.decode(EVENTS.encode(batch)) == (batch, [])


@pytest.mark.parametrize("body", [b"", b"\xc1", b"rubbish", msgspec.msgpack.encode({"a": 1})])
def test_a_body_that_is_no_batch(body: bytes) -> None:
    items, [malformed] = EVENTS.decode(body)
    assert items == []
    assert malformed.body == body
    assert malformed.reason


@pytest.mark.parametrize(
    "bad",
    [
        ["send", 1],
        ["dance"],
        7,
        ["delivered", b"short", b"\0" * 16, [], 1],
        ["send", b"\0" * 16, b"\0" * 16, b"\0" * 16, None, 5, 5, b"\0" * 16, "gateway"],
    ],
)
def test_a_bad_item_is_set_aside_alone(bad: object) -> None:
    first, last = send(), send()
    raws = [raw(first), msgspec.Raw(msgspec.msgpack.encode(bad)), raw(last)]
    items, [malformed] = EVENTS.decode(msgspec.msgpack.encode(raws))
    assert items == [first, last]
    assert malformed.body == msgspec.msgpack.encode([bad])


def raw(event: Send) -> msgspec.Raw:
    return msgspec.Raw(EVENTS.encode([event])[1:])


class _Old(msgspec.Struct, frozen=True, array_like=True, tag="delivered"):
    conversation_id: str


class _New(msgspec.Struct, frozen=True, array_like=True, tag="delivered"):
    conversation_id: str
    added: int = 5


def test_fields_can_be_added_while_two_releases_run() -> None:
    old: Codec[_Old] = Codec(_Old)
    new: Codec[_New] = Codec(_New)
    assert new.decode(old.encode([_Old("x")])) == ([_New("x", 5)], [])
    assert old.decode(new.encode([_New("x", 6)])) == ([_Old("x")], [])


def test_queues_do_not_mix() -> None:
    write = MarkDelivered(uuid4(), 3, [uuid4()], 9)
    assert WRITES.decode(WRITES.encode([write, Barrier("queue", "1")]))[1] == []
    assert EVENTS.decode(EVENTS.encode([send()]))[1] == []
    assert WRITES.decode(EVENTS.encode([send()]))[0] == []


@pytest.mark.parametrize(
    "item", [["secret", 1], ["send", "secret"], {"secret": 1}, ["delivered", b"secret"], "secret"]
)
def test_a_reason_never_quotes_what_was_there(item: object) -> None:
    """It goes into logs and headers; what was there may be somebody's message."""
    for body in (msgspec.msgpack.encode([item]), b"\x91\x92\xa7secret\xff\x01"):
        items, [malformed] = EVENTS.decode(body)
        assert (items, "secret" in malformed.reason, bool(malformed.reason)) == ([], False, True)
    broken = reason_of(UnicodeDecodeError("utf-8", b"secret\xff", 6, 7, "invalid start byte"))
    assert "secret" not in broken
