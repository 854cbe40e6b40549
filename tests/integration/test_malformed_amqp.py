"""Whatever comes straight into a queue (promise 9): the chat goes on, and no process ends."""

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from uuid_utils.compat import uuid7

from libs.common.domain.partition import partition_of
from libs.common.protocol import codec, deliveries, events, writes
from libs.common.protocol.codec import Codec
from libs.common.topology import MATCH_CREATED, MATCH_REMOVED, matches, typing
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.queues import Queues, open_queues
from tests.integration.unharmed import unharmed
from tests.integration.watching import PARTITIONS, House, whole_house

Pair = tuple[UUID, UUID, UUID]

LONG = "x" * 300
"""No queue's name can be so long."""
LATE = 2**62
NO_BATCHES = {
    "empty": b"",
    "an empty batch": b"\x90",
    "no msgpack": b"\xc1\xc1\xc1",
    "text": b"{'json': true}",
    "a number": b"\x07",
    "a map": msgspec.msgpack.encode({"a": 1}),
    "an array that promises four billion": b"\xdd\xff\xff\xff\xff\x01",
    "a string that promises 4 GiB": b"\x91\xdb\xff\xff\xff\xffabc",
    "nested a hundred thousand times": b"\x91" * 100_000,
    "an extension": b"\x91\xc7\x03\x05abc",
    "no UTF-8": b"\x91\x92\xa4send\xa2\xff\xfe",
    "an unknown tag": msgspec.msgpack.encode([["dance", 1]]),
    "no tag": msgspec.msgpack.encode([[], [None], [7], [[]], {}, b"", 1.5]),
    "three megabytes": msgspec.msgpack.encode([["send", b"x" * (3 << 20)]]),
}
PROPERTIES: Sequence[Mapping[str, Any]] = (
    {"headers": {"traceparent": 7}},
    {"headers": {"traceparent": "00-garbage"}},
    {"headers": {"traceparent": LONG, "x-death": "often", "x-delivery-count": -5}},
    {
        "headers": {
            "table": {"in": {"a": {"table": [1, "two", None, {"x": bytearray(b"\xff")}]}}},
            "none": None,
            "time": datetime(1970, 1, 1, tzinfo=UTC),
            "decimal": Decimal("1.5"),
            "long": "x" * 100_000,
            "truth": True,
            "ratio": 1.5,
        }
    },
    {"content_type": "application/x-evil", "content_encoding": "gzip", "priority": 255},
    {"message_id": "no number", "correlation_id": "\u202e\x1b[31m", "reply_to": "chat.dead"},
    {"message_id": "18446744073709551616", "type": "send", "app_id": "x" * 255},
    {"expiration": 1},
)

ALIVE_MS = 5_000
"""Since a gateway's last sign."""


def hostile(pair: Pair) -> Iterator[tuple[Codec[Any], Any]]:
    """Well formed, but no process of ours would send it."""
    anna, ben, conversation = pair
    to, nowhere = events.ReplyTo(LONG, LONG), events.ReplyTo("", "")
    far, odd = events.Origin(LONG, uuid4(), uuid4()), events.Origin("", uuid4(), uuid4())
    for reply_to in (to, nowhere):
        yield codec.EVENTS, events.DeleteMessage(conversation, anna, uuid4(), 5, reply_to)
        yield codec.EVENTS, events.ArchiveConversation(uuid4(), anna, 5, reply_to)
        yield codec.EVENTS, events.MarkRead(conversation, anna, [uuid4()], None, 5, None, reply_to)
        yield codec.EVENTS, events.CreateConversation(uuid7(), uuid4(), anna, anna, 5, reply_to)
        yield codec.WRITES, writes.Barrier(reply_to.queue, reply_to.correlation_id)
    for origin in (far, odd):
        read = events.MarkRead(conversation, anna, [], None, 5, origin)
        yield codec.EVENTS, read
        for limit in (-1, 0, 2**31, LATE):
            yield codec.SIGNALS, events.Sync(conversation, anna, 0, limit, origin)
        gateway = origin.gateway_id
        yield codec.SIGNALS, events.Open(anna, uuid4(), gateway, LATE // 10**8)
        yield codec.SIGNALS, events.Typing(uuid4(), anna, True, uuid4(), gateway)
        send = (uuid4(), None, "\0", 5, uuid4(), gateway)
        yield codec.EVENTS, events.Send(uuid4(), anna, *send)
    yield codec.EVENTS, events.Delivered(conversation, anna, [uuid4()] * 9, 5)
    yield codec.SIGNALS, events.Here(uuid4())
    yield codec.SIGNALS, events.Recall(uuid4())
    for number in (-LATE, -1, LATE, 2**64 - 1):
        yield codec.WRITES, writes.MarkDelivered(conversation, number, [uuid4()], number)
        yield codec.WRITES, writes.MarkRead(conversation, number, [], number, (number, -number % 9))
        yield codec.WRITES, writes.DeleteContent(conversation, number, uuid4(), anna, number)
        yield codec.WRITES, writes.ArchiveConversation(uuid4(), number, None, number)
        yield codec.TYPING, writes.Typing(conversation, ben, number)
        yield codec.DELIVERIES, deliveries.Opened(uuid4(), {uuid4(): number})
        entry = deliveries.ToUser(uuid4(), conversation, number, b"\xff", uuid4())
        yield codec.DELIVERIES, entry
    yield codec.WRITES, writes.Index(uuid4())
    yield codec.DELIVERIES, deliveries.Answer(uuid4(), uuid4(), b"", conversation, [uuid4()] * 9)
    yield codec.DELIVERIES, deliveries.Note(uuid4(), b"")
    yield codec.DELIVERIES, deliveries.ToSession(uuid4(), b"")


class Target:
    """The queues of one conversation, and what shows that they are worked on."""

    def __init__(self, system: System, house: House, pair: Pair, queues: Queues) -> None:
        self.system = system
        self.house = house
        self.pair = pair
        self.queues = queues

    async def names(self, kind: str) -> list[str]:
        partition = partition_of(self.pair[2], PARTITIONS)
        match kind:
            case "deliveries":
                async with open_keys() as keys:
                    signs = await keys.redis.zrange("ws:gateways", 0, -1, withscores=True)
                # Not what another test has started, or left there.
                alive = [
                    name.decode()
                    for name, at in signs
                    if name.startswith(b"gateway-") and abs(at - time.time() * 1000) < ALIVE_MS
                ]
                assert alive
                return [f"chat.deliveries.{name}" for name in alive]
            case "matches":
                return [matches().name]
            case "typing":
                return [typing().name]
            case _:
                return [f"chat.{kind}.{partition}"]

    async def put(self, kind: str, body: bytes, **properties: Any) -> None:
        for name in await self.names(kind):
            await self.queues.put(name, body, **properties)

    async def goes_on(self) -> None:
        """Live, stored, and by REST; the queues' own order says that what was put has been read."""
        anna, ben, conversation = self.pair
        async with (
            await self.system.open(anna) as annas,
            await self.system.open(ben) as bens,
            self.system.rest(ben) as rest,
        ):
            sent = await annas.send_message(conversation, "still here")
            await bens.expect("MESSAGE_RECEIVED", messageId=sent["messageId"])
            await annas.expect("MESSAGE_DELIVERED")
            await bens.mark_as_read(conversation, up_to_seq=sent["seq"])
            await bens.typing(conversation)
            await annas.expect("TYPING_START")
            assert (await annas.sync(conversation, sent["seq"] - 1))["messages"]
            answer = await rest.get(f"/conversations/{conversation}/messages?limit=1")
            assert answer.json()["items"][0]["messageId"] == sent["messageId"]
        # Of another match: what came to `chat.matches` before it has been seen to.
        await self.system.conversation(uuid4(), uuid4())


@pytest.fixture
async def target(system: System, pair: Pair) -> AsyncIterator[Target]:
    async with whole_house() as house, open_queues() as queues:
        with unharmed(house):
            yield Target(system, house, pair, queues)
        await queues.take_dead()


KINDS = ("events", "signals", "writes", "deliveries", "matches", "typing")


@pytest.mark.parametrize("kind", KINDS)
async def test_bodies_that_are_no_batch(target: Target, kind: str) -> None:
    for body in NO_BATCHES.values():
        await target.put(kind, body)
    await target.goes_on()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_batch_that_was_cut_off_anywhere(target: Target, kind: str) -> None:
    """Of every type of message, at every place, and with each of its bytes turned over."""
    for coded, item in hostile(target.pair):
        if f"{kind}" not in kinds_of(coded):
            continue
        whole = coded.encode([item])
        spoiled = [whole[:cut] for cut in range(1, len(whole), 5)]
        spoiled += [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(8)]
        for body in spoiled:
            await target.put(kind, body)
    await target.goes_on()


def kinds_of(coded: Codec[Any]) -> tuple[str, ...]:
    return {
        id(codec.EVENTS): ("events",),
        id(codec.SIGNALS): ("signals",),
        id(codec.WRITES): ("writes",),
        id(codec.DELIVERIES): ("deliveries",),
        id(codec.TYPING): ("typing",),
    }[id(coded)]


@pytest.mark.parametrize("kind", KINDS)
async def test_values_that_nobody_would_send(target: Target, kind: str) -> None:
    for coded, item in hostile(target.pair):
        if kind in kinds_of(coded):
            await target.put(kind, coded.encode([item]))
            await target.put(kind, coded.encode([item]) * 2)
    await target.goes_on()


@pytest.mark.parametrize("kind", KINDS)
async def test_properties_of_any_kind(target: Target, kind: str) -> None:
    for properties in PROPERTIES:
        await target.put(kind, b"\x90", **properties)
        await target.put(kind, b"\xc1", **properties)
    await target.goes_on()


async def test_matches_that_are_none(target: Target) -> None:
    good = {"matchId": str(uuid4()), "user1Id": str(uuid4()), "user2Id": str(uuid4())}
    odd: tuple[object, ...] = (None, 7, "", {})
    bodies = (
        *(b"", b"[]", b"null", b"\xff\xfe", b"{" * 5_000, b"[" * 100_000),
        *(json.dumps({**good, name: value}).encode() for name in good for value in odd),
        json.dumps(good | {"user2Id": good["user1Id"]}).encode(),
    )
    for body in bodies:
        for key in (MATCH_CREATED, MATCH_REMOVED):
            await target.queues.announce(key, body)
    await target.goes_on()
