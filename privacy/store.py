"""PostgreSQL, read page by page: no list of a person's messages is ever held."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from libs.common.sql import load_queries
from privacy.commands import Doomed

SQL: Final = load_queries(Path(__file__).with_name("queries.sql"))
PAGE: Final = 500
CONNECT_S: Final = 10.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """Raises OSError, asyncpg.PostgresError."""
    connection = await asyncpg.connect(
        url, timeout=CONNECT_S, server_settings={"default_transaction_read_only": "on"}
    )
    try:
        yield connection
    finally:
        await connection.close()


async def conversations_of(database: Connection, user_id: UUID) -> list[asyncpg.Record]:
    """All of a person's: some hundreds."""
    return await database.fetch(SQL["conversations"], user_id)


async def left_of(database: Connection, user_id: UUID) -> int:
    """How many of the person's messages still have their content."""
    return int(await database.fetchval(SQL["left_of_person"], user_id))


async def erasable(database: Connection, user_id: UUID) -> AsyncIterator[Doomed]:
    """What the person wrote and is still there."""
    for conversation in await conversations_of(database, user_id):
        place: UUID = conversation["id"]
        seq = 0
        while rows := await database.fetch(SQL["erasable"], place, user_id, seq, PAGE):
            for row in rows:
                yield Doomed(place, row["id"], row["sender_id"])
            seq = rows[-1]["seq"]


async def outdated(database: Connection, before: datetime) -> AsyncIterator[Doomed]:
    """Everybody's messages from before that moment which are still there."""
    place = UUID(int=0)
    while rows := await database.fetch(SQL["conversations_after"], place, PAGE):
        ids = [row["id"] for row in rows]
        place = ids[-1]
        async with database.transaction():
            async for row in database.cursor(SQL["outdated"], ids, before, prefetch=PAGE):
                yield Doomed(row["conversation_id"], row["id"], row["sender_id"])
