"""Search indexes on demand: filled when somebody searches, beside the flushes, never by halves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from libs.common.domain.partition import partition_of
from libs.common.protocol.codec import WRITES
from libs.common.protocol.writes import DeleteContent, Entry, Index, InsertMessage
from libs.common.topology import writes
from services.persister.indexing import CHUNK, Indexer
from tests.integration.queues import open_queues
from tests.integration.shelf import Shelf, open_shelf
from tests.integration.watching import PARTITIONS, House, until
from tests.unit.test_persister_fold import (
    conversation_id,
    created,
    delivered,
    message_id,
)

CONVERSATION = conversation_id(0)


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    async with open_shelf() as shelf:
        yield shelf


@asynccontextmanager
async def indexing(shelf: Shelf) -> AsyncIterator[Indexer]:
    indexer = Indexer(shelf.url)
    running = asyncio.create_task(indexer.run())
    try:
        yield indexer
    finally:
        running.cancel()
        await asyncio.wait([running])


def says(seq: int, content: str = "") -> InsertMessage:
    ids = message_id(0, seq), UUID(int=901), None
    return InsertMessage(CONVERSATION, seq, *ids, content or f"message {seq}", 1_000 + seq)


def deletes(seq: int, of: int) -> DeleteContent:
    return DeleteContent(CONVERSATION, seq, message_id(0, of), UUID(int=901), 8_000)


async def indexed_up_to(shelf: Shelf, seq: int) -> None:
    async def is_done() -> bool:
        query = "select indexed_seq from conversations where id = $1"
        return bool(await shelf.database.fetchval(query, CONVERSATION) == seq)

    await until(is_done, 20, f"indexed up to {seq}")


async def test_all_that_is_stored_is_indexed_in_chunks_but_for_the_deleted(shelf: Shelf) -> None:
    last = 2 * CHUNK + 100
    sends: list[Entry] = [says(seq) for seq in range(2, last + 1)]
    await shelf.put([created(0), *sends], [deletes(last + 1, 3)])
    async with indexing(shelf) as indexer:
        indexer.request([CONVERSATION, uuid4(), CONVERSATION])
        await indexed_up_to(shelf, last + 1)
        expected = [f"message {seq}" for seq in range(2, last + 1) if seq != 3]
        assert await shelf.indexed(CONVERSATION) == expected
        # A new message is the tail that a search reads as it is, until somebody asks again.
        await shelf.put([says(last + 2)])
        assert await shelf.indexed(CONVERSATION) == expected
        indexer.request([CONVERSATION])
        await indexed_up_to(shelf, last + 2)
        assert await shelf.indexed(CONVERSATION) == [*expected, f"message {last + 2}"]


async def test_a_deletion_takes_its_message_out(shelf: Shelf) -> None:
    async with indexing(shelf) as indexer:
        await shelf.put([created(0), says(2), says(3)])
        indexer.request([CONVERSATION])
        await indexed_up_to(shelf, 3)
    await shelf.put([deletes(4, 2)])
    assert await shelf.indexed(CONVERSATION) == ["message 3"]


async def test_a_message_that_was_dead_and_comes_late_is_not_skipped(shelf: Shelf) -> None:
    """Put back by hand from chat.dead: its place is behind what is indexed."""
    async with indexing(shelf) as indexer:
        await shelf.put([created(0), says(2), says(4)])
        indexer.request([CONVERSATION])
        await indexed_up_to(shelf, 4)
        await shelf.put([says(3)])
        await indexed_up_to(shelf, 2)
        indexer.request([CONVERSATION])
        await indexed_up_to(shelf, 4)
    assert await shelf.indexed(CONVERSATION) == ["message 2", "message 3", "message 4"]


# ------------------------------------------------------------------ races


async def test_a_deletion_while_its_message_is_copied(shelf: Shelf) -> None:
    """It waits for the copy to be committed, and then takes it out."""
    await shelf.put([created(0), says(2, "secret"), says(3)])
    async with indexing(shelf) as indexer:
        async with shelf.database.transaction():
            # The indexing comes to the conversation's row when it has copied.
            await shelf.database.execute("select from conversations for no key update")
            indexer.request([CONVERSATION])
            await shelf.waiting(1)
            deleting = asyncio.create_task(shelf.store.write([deletes(4, 2)]))
            await shelf.waiting(2)
        assert await deleting == []
        await indexed_up_to(shelf, 3)
    assert await shelf.indexed(CONVERSATION) == ["message 3"]


async def test_copying_while_a_deletion_is_not_committed(shelf: Shelf) -> None:
    """It waits for the deletion, and then finds nothing to copy."""
    await shelf.put([created(0), says(2, "secret"), says(3)])
    async with indexing(shelf) as indexer:
        # The deletion comes to the audit log when it has emptied the message.
        await shelf.database.execute("select pg_advisory_lock(hashtext('audit_log'))")
        deleting = asyncio.create_task(shelf.store.write([deletes(4, 2)]))
        await shelf.waiting(1)
        indexer.request([CONVERSATION])
        await shelf.waiting(2)
        await shelf.database.execute("select pg_advisory_unlock(hashtext('audit_log'))")
        assert await deleting == []
        await indexed_up_to(shelf, 4)
    assert await shelf.indexed(CONVERSATION) == ["message 3"]


async def test_a_late_message_while_its_neighbours_are_copied(shelf: Shelf) -> None:
    """Stored when the copying has passed its place, before it is committed."""
    await shelf.put([created(0), says(2), says(4)])
    async with indexing(shelf) as indexer:
        async with shelf.database.transaction():
            await shelf.database.execute("select from conversations for no key update")
            indexer.request([CONVERSATION])
            await shelf.waiting(1)
            storing = asyncio.create_task(shelf.store.write([says(3)]))
            await shelf.waiting(2)
        assert await storing == []
        indexer.request([CONVERSATION])
        await indexed_up_to(shelf, 4)
    assert await shelf.indexed(CONVERSATION) == ["message 2", "message 3", "message 4"]


async def test_a_flush_does_not_wait_for_indexing(shelf: Shelf) -> None:
    """The indexing stands still in the midst of this very conversation."""
    await shelf.put([created(0), says(2), says(3)])
    async with indexing(shelf) as indexer:
        async with shelf.database.transaction():
            # Held as by another's indexing, or for as long as ours would take.
            await shelf.database.execute("lock table indexed_messages in exclusive mode")
            indexer.request([CONVERSATION])
            await shelf.waiting(1)
            await shelf.put([says(4), delivered(0, 5, 2, 3)])
            await shelf.waiting(1)
        await indexed_up_to(shelf, 3)


# ------------------------------------------------------------------ the whole way


async def test_an_index_write_is_acknowledged_and_done(
    house: House, pair: tuple[UUID, UUID, UUID]
) -> None:
    anna, _, conversation = pair
    queue = writes(partition_of(conversation, PARTITIONS)).name
    message = InsertMessage(conversation, 2, uuid7(), anna, uuid4(), "find me", 1_700_000_000_000)
    async with open_queues() as queues:
        await queues.put(queue, WRITES.encode([message, Index(conversation)]))

    async def is_indexed() -> bool:
        query = "select content from indexed_messages where conversation_id = $1"
        return bool(await house.database.fetchval(query, conversation) == "find me")

    await until(is_indexed, 10, "the message is in the search indexes")
    for each in await house.queues("chat.writes"):
        assert each.ready == 0
