"""The one writer of PostgreSQL: batches, one row write for one thing, nothing lost by its death."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given, settings
from uuid_utils.compat import uuid7

from libs.common.domain.partition import partition_of
from libs.common.protocol.codec import WRITES
from libs.common.protocol.writes import Entry, InsertMessage, MarkDelivered, Write
from libs.common.topology import writes
from local.roles import PERSISTER
from services.persister.store import Store
from tests.integration.conftest import System
from tests.integration.queues import open_queues
from tests.integration.talking import Chat, chats_everywhere, hold_together
from tests.integration.watching import PARTITIONS, QUEUES, House, until, whole_house
from tests.unit.test_persister_fold import deliveries

Pair = tuple[UUID, UUID, UUID]
BACKLOG = 120
"""Messages of each conversation that wait in the queues; fewer than a router remembers, so that it
needs no barrier while no persister answers."""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with whole_house() as house:
        yield house


async def test_many_messages_share_a_flush(system: System, house: House) -> None:
    """Each message is two writes (it, and its DELIVERED), and each flush takes many of them."""
    messages = 400
    chat = await Chat.begin(system)
    before = await flushes(house)
    await asyncio.gather(*(chat.say(number % 2) for number in range(messages)))
    await hold_together(system, house, [chat])
    count, items = (now - then for now, then in zip(await flushes(house), before, strict=True))
    assert items >= messages
    assert count <= messages / 10
    await chat.close()


async def flushes(house: House) -> tuple[float, float]:
    """How many there were, and of how many writes."""
    name = "chat_batch_size"
    return (
        await house.total(PERSISTER, f"{name}_count", stage="store"),
        await house.total(PERSISTER, f"{name}_sum", stage="store"),
    )


# ------------------------------------------------------------------ rows


async def test_a_message_and_its_delivery_in_one_flush_are_one_row_write(
    house: House, pair: Pair
) -> None:
    """It is inserted as DELIVERED, by the statement that inserts its neighbour as SENT."""
    anna, _, conversation = pair
    now = int(time.time() * 1000)
    first, second = (
        InsertMessage(conversation, seq, uuid7(), anna, uuid4(), "hello", now) for seq in (2, 3)
    )
    delivered = MarkDelivered(conversation, 4, [first.message_id], now)
    await put(conversation, [first, second, delivered])
    [one, other] = await versions(house, conversation, ["DELIVERED", "SENT"])
    assert one == other, "one INSERT for both, no UPDATE"
    # The same a flush later is an UPDATE, which this test would notice.
    await put(conversation, [MarkDelivered(conversation, 5, [second.message_id], now)])
    [one, other] = await versions(house, conversation, ["DELIVERED", "DELIVERED"])
    assert one != other


async def put(conversation: UUID, batch: list[Write]) -> None:
    async with open_queues() as queues:
        queue = writes(partition_of(conversation, PARTITIONS)).name
        await queues.put(queue, WRITES.encode(batch))


async def versions(
    house: House, conversation: UUID, statuses: Sequence[str]
) -> list[tuple[str, str]]:
    """Transaction and statement that wrote each row, once the rows have these statuses."""
    found: list[tuple[str, str, str]] = []

    async def are_stored() -> bool:
        rows = await house.database.fetch(
            "select status::text, xmin::text, cmin::text from messages "
            "where conversation_id = $1 order by seq",
            conversation,
        )
        found[:] = [(row["status"], row["xmin"], row["cmin"]) for row in rows]
        return [status for status, *_ in found] == statuses

    await until(are_stored, 5, lambda: f"rows are {statuses}; they are {found}")
    return [(transaction, statement) for _, transaction, statement in found]


# ------------------------------------------------------------------ death


async def test_every_persister_killed_with_its_hands_full(system: System, house: House) -> None:
    """Promises 1 and 4: each has taken its queues empty and has stored nothing of it yet."""
    async with chats_everywhere(system, each=2) as chats:
        async with house.database.transaction():
            await house.database.execute("lock table messages in exclusive mode")
            says = (chat.say(number % 2) for number in range(BACKLOG) for chat in chats)
            await asyncio.gather(*says)

            async def all_hold() -> bool:
                ready = sum(queue.ready for queue in await house.queues(QUEUES[PERSISTER]))
                return ready == 0 and await waiting_for_the_lock(house) == 2

            await until(all_hold, 5, "both persisters hold what they can't store")
            killed = {name: house.send(name, signal.SIGKILL) for name in house.programs(PERSISTER)}
            assert await stored(house, [chat.conversation for chat in chats]) == 0
        for program, pid in killed.items():
            await house.came_back(program, since=pid)
        await hold_together(system, house, chats)


async def waiting_for_the_lock(house: House) -> int:
    count: int = await house.database.fetchval(
        "select count(*) from pg_stat_activity "
        "where application_name = 'chat-persister' and wait_event_type = 'Lock'"
    )
    return count


async def stored(house: House, conversations: Sequence[UUID]) -> int:
    count: int = await house.database.fetchval(
        "select count(*) from messages where conversation_id = any($1::uuid[])", conversations
    )
    return count


# ------------------------------------------------------------------ any batches


Rows = list[tuple[object, ...]]
State = tuple[Rows, Rows]


class Shelf:
    """The tables once more, empty, in a schema of its own; and the product's store on them."""

    def __init__(self, database: "asyncpg.Connection[asyncpg.Record]", store: Store) -> None:
        self._database = database
        self._store = store

    async def after(self, batches: Sequence[Sequence[Entry]]) -> State:
        """What is stored after these batches, one transaction each."""
        await self._database.execute("truncate shelf.messages, shelf.conversations")
        for batch in batches:
            assert await self._store.write(batch) == []
        messages = await self._database.fetch("select * from shelf.messages order by id")
        conversations = await self._database.fetch("select * from shelf.conversations order by id")
        return [tuple(row) for row in messages], [tuple(row) for row in conversations]


@contextmanager
def shelf(runner: asyncio.Runner) -> Iterator[Shelf]:
    url = os.environ["CHAT_DATABASE_URL"]
    separator = "&" if "?" in url else "?"
    database = runner.run(asyncpg.connect(url))
    store = Store(f"{url}{separator}search_path=shelf%2Cpublic")
    try:
        runner.run(
            database.execute(
                "create schema shelf;"
                "create table shelf.messages (like public.messages including all);"
                "create table shelf.conversations (like public.conversations including all)"
            )
        )
        yield Shelf(database, store)
    finally:
        runner.run(store.close())
        runner.run(database.execute("drop schema if exists shelf cascade"))
        runner.run(database.close())


def test_any_batches_with_redeliveries_store_what_one_by_one_would() -> None:
    """Promises 4 and 7 on PostgreSQL: how writes were batched, or came again, leaves no trace."""
    with asyncio.Runner() as runner, shelf(runner) as tables:

        @settings(max_examples=25, deadline=None)
        @given(deliveries())
        def check(example: tuple[list[Entry], list[list[Entry]]]) -> None:
            log, batches = example
            singly = runner.run(tables.after([[entry] for entry in log]))
            assert runner.run(tables.after(batches)) == singly

        check()
