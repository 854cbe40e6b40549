"""Which errors of PostgreSQL bisect a batch, and which repeat it."""

import asyncio
from collections.abc import Iterator, Sequence
from uuid import UUID

import asyncpg
import pytest
import stamina

from libs.common.protocol.writes import (
    ArchiveConversation,
    DeleteContent,
    Entry,
    InsertMessage,
    MarkDelivered,
    MarkRead,
)
from services.persister.failures import Conflicts, Dead, blames_the_data, ids_of, store


def message(seq: int, content: str = "good") -> InsertMessage:
    return InsertMessage(UUID(int=1), seq, UUID(int=seq), UUID(int=2), UUID(int=3), content, 0)


class Database:
    """Takes batches as PostgreSQL would; `troubles` are raised first, one at a time."""

    def __init__(self, *troubles: Exception) -> None:
        self.stored: list[Entry] = []
        self.calls = 0
        self._troubles = list(troubles)

    async def write(self, entries: Sequence[Entry]) -> list[Dead]:
        self.calls += 1
        if self._troubles:
            raise self._troubles.pop(0)
        for entry in entries:
            if isinstance(entry, InsertMessage) and entry.content == "bad":
                raise asyncpg.CharacterNotInRepertoireError("invalid byte sequence")
        self.stored += entries
        return []


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10):
        yield


async def test_a_bad_write_is_found_and_its_neighbours_are_stored_in_order() -> None:
    entries = [message(seq, "bad" if seq in (3, 700) else "good") for seq in range(1, 1001)]
    database = Database()
    dead = await store(entries, database.write)
    assert [entry.seq for entry, _ in dead] == [3, 700]
    assert database.stored == [entry for entry in entries if entry.content == "good"]
    assert database.calls < 50


async def test_the_reason_never_shows_the_content() -> None:
    error = asyncpg.DataError("invalid input for query argument $6: ['my secret']")
    [dead] = await store([message(1)], Database(error).write)
    assert dead.reason.startswith("22000")
    assert "secret" not in dead.reason


@pytest.mark.parametrize(
    "trouble",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("stopping"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.SerializationError("try again"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.DiskFullError("full"),
        asyncpg.UndefinedTableError("not migrated"),
        asyncpg.InterfaceError("connection is closed"),
    ],
)
async def test_trouble_repeats_the_same_batch(trouble: Exception) -> None:
    entries = [message(1), message(2)]
    database = Database(trouble, trouble)
    assert await store(entries, database.write) == []
    assert database.stored == entries
    assert database.calls == 3


async def test_conflicts_are_taken_out_and_amended() -> None:
    refused, taken = message(1), message(2)
    others: list[Entry] = [
        MarkDelivered(UUID(int=1), 3, [UUID(int=2)], 0),
        MarkRead(UUID(int=1), 4, [UUID(int=2)], 0, (0, 2)),
        DeleteContent(UUID(int=1), 5, UUID(int=2), UUID(int=2), 0),
        ArchiveConversation(UUID(int=1), 6, None, 0),
    ]
    kept = InsertMessage(UUID(int=1), 2, UUID(int=2), UUID(int=2), None, "good", 0)
    database = Database(Conflicts({refused: "SEQUENCE_CONFLICT"}, {taken: kept}))
    dead = await store([refused, taken, *others], database.write)
    assert dead == [Dead(refused, "SEQUENCE_CONFLICT")]
    assert database.stored == [kept, *others]


def test_a_log_line_names_ids_and_never_the_content() -> None:
    assert "content" not in ids_of(message(1, "my secret"))
    reading = MarkRead(UUID(int=1), 4, [UUID(int=2)], 7, (0, 2))
    assert ids_of(reading)["message_ids"] == [UUID(int=2)]


async def test_cancelling_ends_it() -> None:
    async def never(_: Sequence[Entry]) -> list[Dead]:
        await asyncio.Event().wait()
        return []

    storing = asyncio.create_task(store([message(1)], never))
    await asyncio.sleep(0)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(storing, 1)


async def test_an_empty_batch_asks_nothing() -> None:
    database = Database()
    assert await store([], database.write) == []
    assert database.calls == 0


def test_a_trigger_and_a_constraint_blame_the_data() -> None:
    assert blames_the_data(asyncpg.RaiseError("no"))
    assert blames_the_data(asyncpg.CheckViolationError("no"))
    assert not blames_the_data(asyncpg.PostgresError("unknown"))
