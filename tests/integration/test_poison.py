"""One bad thing stays one (promise 9): it ends in chat.dead, a log line and a metric."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import msgspec
import pytest
from uuid_utils.compat import uuid7

from libs.common.domain.partition import partition_of
from libs.common.protocol.codec import EVENTS, WRITES
from libs.common.protocol.events import Send
from libs.common.protocol.writes import InsertMessage, Write
from libs.common.topology import DEAD, events, matches, writes
from local.roles import PERSISTER, ROUTER, Role
from tests.integration.conftest import System
from tests.integration.queues import Dead, Queues, open_queues
from tests.integration.watching import PARTITIONS, House, until, whole_house

Pair = tuple[UUID, UUID, UUID]
WITHIN_S = 5.0
TOO_LATE_MS = 2**62
"""A time that neither RFC 3339 nor PostgreSQL can hold."""


@dataclass(frozen=True)
class Ward:
    """Where the poisoned are watched."""

    house: House
    queues: Queues

    async def buries(self, role: Role, label: str, count: int, within_s: float = WITHIN_S) -> None:
        """Waits until the metric tells of so many."""

        async def counted() -> bool:
            found = await self.house.total(role, "chat_dead_letters_total", source=label)
            return found == count

        await until(counted, within_s, f"chat_dead_letters_total of {label} is {count:.0f}")

    async def buried(self, role: Role, label: str) -> int:
        return int(await self.house.total(role, "chat_dead_letters_total", source=label))

    async def stored(self, conversation: UUID, count: int) -> dict[int, str]:
        """seq → content, when there are so many."""
        found: dict[int, str] = {}

        async def all_stored() -> bool:
            rows = await self.house.database.fetch(
                "select seq, content from messages where conversation_id = $1", conversation
            )
            found.update((row["seq"], row["content"]) for row in rows)
            return len(found) >= count

        await until(all_stored, WITHIN_S, lambda: f"{count} rows are stored; there are {found}")
        return found


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    """The house, with chat.dead empty before; and after, so each test took what it caused."""
    async with whole_house() as house, open_queues() as queues:
        assert await queues.take_dead() == [], "an earlier test has buried something"
        yield Ward(house, queues)
        assert await queues.take_dead() == [], "more was buried than the test knows of"


def a_send(pair: Pair, content: str, accepted_at: int | None = None) -> Send:
    anna, _, conversation = pair
    return Send(
        conversation_id=conversation,
        sender_id=anna,
        try_id=uuid7(),
        client_message_id=uuid4(),
        content=content,
        accepted_at=accepted_at or int(time.time() * 1000),
        session_id=uuid4(),
        gateway_id="nobody",
    )


def a_write(pair: Pair, seq: int, content: str) -> InsertMessage:
    anna, _, conversation = pair
    now = int(time.time() * 1000)
    return InsertMessage(conversation, seq, uuid7(), anna, uuid4(), content, now)


def events_of(conversation: UUID) -> str:
    return events(partition_of(conversation, PARTITIONS)).name


def writes_of(conversation: UUID) -> str:
    return writes(partition_of(conversation, PARTITIONS)).name


# ------------------------------------------------------------------ events


async def test_an_unreadable_body_of_events(system: System, ward: Ward, pair: Pair) -> None:
    """The partition goes on: the next message of a user in it is acknowledged."""
    anna, _, conversation = pair
    before = await ward.buried(ROUTER, "events")
    await ward.queues.put(events_of(conversation), b"\xc1 this is no msgpack")
    async with await system.open(anna) as phone:
        await phone.send_message(conversation, "the queue goes on")
    [dead] = await ward.queues.dead_within(WITHIN_S, 1)
    assert dead.body == b"\xc1 this is no msgpack"
    assert (dead.source, bool(dead.reason)) == (events_of(conversation), True)
    await ward.buries(ROUTER, "events", before + 1)


async def test_a_malformed_event_between_two_good_ones(
    system: System, ward: Ward, pair: Pair
) -> None:
    """The good ones are delivered, in order and with neighbouring numbers."""
    _, ben, conversation = pair
    before = await ward.buried(ROUTER, "events")
    bad = msgspec.msgpack.encode(["send", "no uuid", 7])
    good = [EVENTS.encode([a_send(pair, content)])[1:] for content in ("first", "second")]
    async with await system.open(ben) as bens:
        await ward.queues.put(events_of(conversation), b"\x93" + good[0] + bad + good[1])
        first = await bens.expect("MESSAGE_RECEIVED", content="first")
        second = await bens.expect("MESSAGE_RECEIVED", content="second")
    assert (first["seq"], second["seq"]) == (2, 3)
    [dead] = await ward.queues.dead_within(WITHIN_S, 1)
    assert dead.body == msgspec.msgpack.encode([msgspec.Raw(bad)])
    assert (dead.source, bool(dead.reason)) == (events_of(conversation), True)
    await ward.buries(ROUTER, "events", before + 1)


async def test_an_event_that_breaks_a_rule_leaves_no_trace(
    system: System, ward: Ward, pair: Pair
) -> None:
    """It reads well, but no rule can apply it: the log has no hole where it was (DESIGN.md, 2)."""
    _, ben, conversation = pair
    before = await ward.buried(ROUTER, "events")
    bad = a_send(pair, "at the end of time", accepted_at=TOO_LATE_MS)
    batch = [a_send(pair, "first"), bad, a_send(pair, "second")]
    async with await system.open(ben) as bens:
        await ward.queues.put(events_of(conversation), EVENTS.encode(batch))
        await bens.expect("MESSAGE_RECEIVED", content="first")
        await bens.expect("MESSAGE_RECEIVED", content="second")
    stored = await ward.stored(conversation, 2)
    # Of a later flush: when it is stored, whatever the persister had to bury is buried.
    await ward.queues.put(events_of(conversation), EVENTS.encode([a_send(pair, "third")]))
    await ward.stored(conversation, 3)
    dead = await ward.queues.dead_within(WITHIN_S, 1)
    await ward.buries(ROUTER, "events", before + 1)
    assert stored == {2: "first", 3: "second"}
    assert [(letter.source, letter.body) for letter in dead] == [
        (events_of(conversation), EVENTS.encode([bad]))
    ]


async def test_a_match_that_is_none(system: System, ward: Ward) -> None:
    """The match service's next one becomes a conversation."""
    before = await ward.buried(ROUTER, "matches")
    match = {"matchId": str(uuid4()), "user1Id": str(uuid4()), "user2Id": str(uuid4())}
    await ward.queues.announce("match.created", b'{"matchId": 7}')
    await ward.queues.announce("match.created", json.dumps(match).encode())

    async def is_there() -> bool:
        row = await ward.house.database.fetchrow(
            "select 1 from conversations where match_id = $1", UUID(match["matchId"])
        )
        return row is not None

    await until(is_there, WITHIN_S, "the good match's conversation")
    [dead] = await ward.queues.dead_within(WITHIN_S, 1)
    assert (dead.body, dead.source) == (b'{"matchId": 7}', matches().name)
    assert "matchId" in dead.reason
    await ward.buries(ROUTER, "matches", before + 1)


# ------------------------------------------------------------------ writes


async def put_writes(ward: Ward, pair: Pair, batch: list[Write]) -> None:
    await ward.queues.put(writes_of(pair[2]), WRITES.encode(batch))


async def one_dead_write(ward: Ward, before: int) -> Dead:
    [dead] = await ward.queues.dead_within(WITHIN_S, 1)
    assert dead.source == "writes"
    await ward.buries(PERSISTER, "writes", before + 1)
    return dead


async def test_content_that_postgresql_cannot_hold(ward: Ward, pair: Pair) -> None:
    """U+0000 among good rows of one batch: halved until it is alone, and never logged."""
    before = await ward.buried(PERSISTER, "writes")
    word = f"secret{uuid4().hex}"
    bad = a_write(pair, 9, f"{word}\0")
    good: list[Write] = [a_write(pair, seq, f"row {seq}") for seq in range(2, 16) if seq != 9]
    await put_writes(ward, pair, [*good[:7], bad, *good[7:]])
    stored = await ward.stored(pair[2], len(good))
    assert stored == {seq: f"row {seq}" for seq in range(2, 16) if seq != 9}
    dead = await one_dead_write(ward, before)
    assert dead.body == WRITES.encode([bad])
    assert dead.reason.startswith("22021"), "PostgreSQL's own code: not in the repertoire"
    assert word not in dead.reason
    logs = ward.house.stack.layout.logs
    assert [file.name for file in logs.iterdir() if word in file.read_text(errors="replace")] == []


async def test_a_number_that_is_taken(ward: Ward, pair: Pair) -> None:
    """Promise 3's fence: the message that has the number keeps it; its neighbours are stored."""
    before = await ward.buried(PERSISTER, "writes")
    await put_writes(ward, pair, [a_write(pair, 2, "the first to come")])
    await ward.stored(pair[2], 1)
    late = a_write(pair, 2, "of a router that slept")
    await put_writes(ward, pair, [a_write(pair, 3, "three"), late, a_write(pair, 4, "four")])
    assert await ward.stored(pair[2], 3) == {2: "the first to come", 3: "three", 4: "four"}
    dead = await one_dead_write(ward, before)
    assert (dead.body, dead.reason) == (WRITES.encode([late]), "SEQUENCE_CONFLICT")


async def test_a_malformed_write_between_two_good_ones(ward: Ward, pair: Pair) -> None:
    before = await ward.buried(PERSISTER, "writes")
    bad = msgspec.msgpack.encode({"no": "write"})
    good = [WRITES.encode([a_write(pair, seq, f"row {seq}")])[1:] for seq in (2, 3)]
    await ward.queues.put(writes_of(pair[2]), b"\x93" + good[0] + bad + good[1])
    assert await ward.stored(pair[2], 2) == {2: "row 2", 3: "row 3"}
    dead = await one_dead_write(ward, before)
    assert dead.body == msgspec.msgpack.encode([msgspec.Raw(bad)])
    assert dead.reason.startswith("MALFORMED")


async def test_chat_dead_is_deleted_before_something_comes_that_can_t_be_read(
    system: System, pair: Pair, ward: Ward
) -> None:
    """Its partition goes on: the queue is declared again by who needs it."""
    anna, _, conversation = pair
    partition = partition_of(conversation, PARTITIONS)
    await ward.queues.delete(DEAD)
    await ward.queues.put(events(partition).name, b"\xc1")
    async with await system.open(anna) as annas:
        await annas.send_message(conversation, "and on")
    [dead] = await ward.queues.dead_within(WITHIN_S, 1)
    assert dead.source == events(partition).name
