"""The one writer of PostgreSQL: batches, one row write for one thing, nothing lost by its death."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import aio_pika
from hypothesis import given, settings
from uuid_utils.compat import uuid7

from libs.common.domain.partition import partition_of
from libs.common.protocol.codec import REPLIES, TYPING, WRITES
from libs.common.protocol.writes import (
    Barrier,
    Entry,
    InsertMessage,
    MarkDelivered,
    Typing,
    Write,
)
from libs.common.topology import typing, writes
from local.roles import PERSISTER
from services.persister.failures import Dead
from tests.chaos.alarm import memory_alarm
from tests.integration.conftest import System
from tests.integration.queues import open_queues
from tests.integration.shelf import open_shelf, shelf_in, waiting_for_a_lock
from tests.integration.talking import Chat, chats_everywhere, hold_together
from tests.integration.watching import PARTITIONS, QUEUES, House, until
from tests.unit.test_persister_fold import (
    archived,
    created,
    deleted,
    delivered,
    deliveries,
    read,
    sent,
)

Pair = tuple[UUID, UUID, UUID]
BACKLOG = 120
"""Messages of each conversation that wait in the queues; fewer than a router remembers, so that it
needs no barrier while no persister answers."""


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
                return ready == 0 and await waiting_for_a_lock(house.database) == 2

            await until(all_hold, 5, "both persisters hold what they can't store")
            killed = {name: house.send(name, signal.SIGKILL) for name in house.programs(PERSISTER)}
            assert await stored(house, [chat.conversation for chat in chats]) == 0
        for program, pid in killed.items():
            await house.came_back(program, since=pid)
        await hold_together(system, house, chats)


async def stored(house: House, conversations: Sequence[UUID]) -> int:
    count: int = await house.database.fetchval(
        "select count(*) from messages where conversation_id = any($1::uuid[])", conversations
    )
    return count


# ------------------------------------------------------------------ any batches


def test_any_batches_with_redeliveries_store_what_one_by_one_would() -> None:
    """Promises 4 and 7 on PostgreSQL: how writes were batched, or came again, leaves no trace.

    Nor in the audit log: it has each deletion and each archiving once.
    """
    with asyncio.Runner() as runner, shelf_in(runner) as tables:

        @settings(max_examples=25, deadline=None)
        @given(deliveries())
        def check(example: tuple[list[Entry], list[list[Entry]]]) -> None:
            log, batches = example
            singly = runner.run(tables.after([[entry] for entry in log]))
            assert runner.run(tables.after(batches)) == singly

        check()


async def test_what_does_not_exist_is_dead_and_its_neighbours_are_stored() -> None:
    async with open_shelf() as tables:
        await tables.put([created(0), sent(0, 2)])
        reading = read(0, 3, 2, 77)
        deletion, archiving = deleted(0, 4, 88), archived(1, 2)
        dead = await tables.store.write([reading, deletion, archiving, sent(0, 5)])
        assert dead == [
            Dead(read(0, 3, 77), "MESSAGE_NOT_FOUND"),
            Dead(deletion, "MESSAGE_NOT_FOUND"),
            Dead(archiving, "CONVERSATION_NOT_FOUND"),
        ]
        rows = await tables.database.fetch("select seq, status::text from messages order by seq")
        assert [tuple(row) for row in rows] == [(2, "READ"), (5, "SENT")]


async def test_updates_touch_no_index() -> None:
    """Each is a heap-only one (HOT): no column that changes may ever be indexed."""
    async with open_shelf() as tables:
        log: list[Entry] = [created(0), sent(0, 2), delivered(0, 3, 2)]
        log += [read(0, 4, 2, up_to=(0, 4)), deleted(0, 5, 2), archived(0, 6)]
        await tables.put(*([entry] for entry in log))
        # The end of its connection tells the statistics.
        tables.store.close()
        updates: list[tuple[str, int, int]] = []

        async def are_counted() -> bool:
            rows = await tables.database.fetch(
                "select relname, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables "
                "where schemaname = 'shelf' and relname in ('messages', 'conversations') order by 1"
            )
            updates[:] = [(row[0], row[1], row[2]) for row in rows]
            return all(count for _, count, _ in updates)

        await until(are_counted, 15, lambda: f"the updates are counted: {updates}")
        # The archiving and its head are an update each.
        assert updates == [("conversations", 6, 6), ("messages", 3, 3)]


# ------------------------------------------------------------------ typing


async def test_typing_status_says_who_types(house: House) -> None:
    """Until the stop, or for 5 s; and never does it hold up a flush."""
    conversation, anna, ben = uuid4(), uuid4(), uuid4()
    now = int(time.time() * 1000)
    await type_in(Typing(conversation, anna, now), Typing(conversation, ben, now))
    await typing_are(house, conversation, {anna, ben})
    await type_in(Typing(conversation, ben, None))
    await typing_are(house, conversation, {anna})
    await typing_are(house, conversation, set())


async def test_a_flush_does_not_wait_for_typing_status(house: House, pair: Pair) -> None:
    anna, _, conversation = pair
    now = int(time.time() * 1000)
    async with house.database.transaction():
        await house.database.execute("lock table typing_status in exclusive mode")
        await type_in(Typing(conversation, anna, now))

        async def waits() -> bool:
            return await waiting_for_a_lock(house.database) > 0

        await until(waits, 5, "typing_status waits")
        await put(conversation, [InsertMessage(conversation, 2, uuid7(), anna, None, "hi", now)])
        await versions(house, conversation, ["SENT"])


async def type_in(*items: Typing) -> None:
    async with open_queues() as queues:
        await queues.put(typing().name, TYPING.encode(list(items)))


async def typing_are(house: House, conversation: UUID, users: set[UUID]) -> None:
    async def are() -> bool:
        rows = await house.database.fetch(
            "select user_id from typing_status where conversation_id = $1", conversation
        )
        return {row["user_id"] for row in rows} == users

    await until(are, 10, f"{len(users)} are typing")


async def test_storing_goes_on_in_an_alarm_in_which_no_barrier_is_answered(
    house: House, pair: Pair
) -> None:
    """What the queues hold may be the very reason of the alarm. The answers come after it."""
    anna, _, conversation = pair
    queue = writes(partition_of(conversation, PARTITIONS)).name
    barriers = 700
    """Three times what a persister takes at once, so what is behind them is of a later flush."""
    last = InsertMessage(conversation, 2, uuid7(), anna, None, "behind them", 5)
    connection = await aio_pika.connect(house.variables["CHAT_AMQP_URL"])
    async with connection, open_queues() as queues:
        channel = await connection.channel()
        replies = await channel.declare_queue(exclusive=True)
        async with AsyncExitStack() as alarm:
            stopped = [house.send(program, signal.SIGSTOP) for program in house.programs(PERSISTER)]
            try:
                barrier = WRITES.encode([Barrier(replies.name, str(uuid4()))])
                await asyncio.gather(*(queues.put(queue, barrier) for _ in range(barriers)))
                await queues.put(queue, WRITES.encode([last]))
                await alarm.enter_async_context(memory_alarm(house.stack))
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            await versions(house, conversation, ["SENT"])
        answered = 0
        async with asyncio.timeout(15), replies.iterator() as answers:
            async for answer in answers:
                async with answer.process():
                    answered += len(REPLIES.decode(answer.body)[0])
                if answered == barriers:
                    break
