"""The tables once more, empty, in a schema of its own; and the product's store on them."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg

from libs.common.protocol.writes import Entry
from services.persister.store import Store
from tests.integration.watching import until

MIGRATIONS = Path(__file__).parents[2] / "migrations" / "versions"

Rows = list[tuple[object, ...]]


class State(NamedTuple):
    messages: Rows
    conversations: Rows
    late: Rows
    """Messages whose newest change is late, with its row in late_changes."""
    audited: Rows


class Shelf:
    """Use `open_shelf`."""

    def __init__(self, database: "asyncpg.Connection[asyncpg.Record]", url: str) -> None:
        self.database = database
        self.url = url
        """For anyone else who shall work on these tables."""
        self.store = Store(url)

    async def empty(self) -> None:
        """All but the audit log, which nobody can empty."""
        await self.database.execute(
            "truncate messages, conversations, late_changes, indexed_messages"
        )

    async def put(self, *batches: Sequence[Entry]) -> None:
        """One transaction each."""
        for batch in batches:
            assert await self.store.write(batch) == []

    async def after(self, batches: Sequence[Sequence[Entry]]) -> State:
        """What is stored after these batches, in tables that were empty."""
        await self.empty()
        before = await self.database.fetchval("select coalesce(max(id), 0) from audit_log")
        await self.put(*batches)
        return State(
            await self._rows("select * from messages order by id"),
            await self._rows("select * from conversations order by id"),
            await self._rows(
                "select m.id, late.changed_seq from messages m left join late_changes late "
                "on (late.conversation_id, late.changed_seq, late.message_id)"
                " = (m.conversation_id, m.changed_seq, m.id) "
                "where m.changed_seq - m.seq > 256 order by m.id"
            ),
            await self._rows(
                "select conversation_id, detail, action, actor_id, message_id from audit_log "
                f"where id > {before} order by conversation_id, detail"
            ),
        )

    async def _rows(self, query: str) -> Rows:
        return [tuple(row) for row in await self.database.fetch(query)]

    async def indexed(self, conversation: UUID) -> list[str]:
        """What the search indexes hold of a conversation, oldest first."""
        rows = await self.database.fetch(
            "select content from indexed_messages where conversation_id = $1 order by created_at",
            conversation,
        )
        return [row["content"] for row in rows]

    async def waiting(self, count: int) -> None:
        """Until so many statements wait for a lock."""

        async def wait() -> bool:
            return await waiting_for_a_lock(self.database) == count

        await until(wait, 5, f"{count} statements wait for a lock")


async def waiting_for_a_lock(database: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Not by pg_stat_activity, which stays as it was for the rest of a transaction."""
    query = "select count(*) from pg_locks where not granted"
    count: int = await database.fetchval(query)
    return count


@asynccontextmanager
async def open_shelf() -> AsyncIterator[Shelf]:
    url = os.environ["CHAT_DATABASE_URL"]
    url += ("&" if "?" in url else "?") + "options=-csearch_path%3Dshelf%2Cpublic"
    database = await asyncpg.connect(url)
    shelf = Shelf(database, url)
    try:
        await database.execute("drop schema if exists shelf cascade; create schema shelf")
        for migration in sorted(MIGRATIONS.glob("*.up.sql")):
            await database.execute(migration.read_text())
        yield shelf
    finally:
        shelf.store.close()
        await database.execute("drop schema if exists shelf cascade")
        await database.close()


@contextmanager
def shelf_in(runner: asyncio.Runner) -> Iterator[Shelf]:
    """For tests that are no coroutines."""
    opening = open_shelf()
    shelf = runner.run(opening.__aenter__())
    try:
        yield shelf
    finally:
        runner.run(opening.__aexit__(None, None, None))
