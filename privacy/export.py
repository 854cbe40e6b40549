"""A copy of all that is held of a person (GDPR, articles 15 and 20), as JSON.

With what others wrote to the person: it was sent to them and they can read it here. Of the others
it holds no more than their ids. All of PostgreSQL's is of one moment.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final
from uuid import UUID

import asyncpg
import orjson

from libs.common.cache import Cache
from libs.common.keys import STATUS
from privacy.settings import PrivacySettings
from privacy.store import PAGE, SQL, Connection, connected

Item = Mapping[str, Any]

FORMAT: Final = 1


async def export(settings: PrivacySettings, user_id: UUID, output: BinaryIO) -> int:
    """Written item by item; returns how many messages. Raises what the servers' clients raise."""
    online = await _is_online(settings.redis_url, user_id)
    async with (
        connected(settings.database_url) as database,
        database.transaction(isolation="repeatable_read", readonly=True),
    ):
        conversations = await database.fetch(SQL["conversations"], user_id)
        ids = [row["id"] for row in conversations]
        output.write(b'{"format":%d,"userId":"%s"' % (FORMAT, str(user_id).encode()))
        _member(output, "exportedAt", datetime.now(UTC))
        _member(output, "online", online)
        typing = await database.fetch(SQL["typing"], user_id)
        _member(output, "typing", [_item(row) for row in typing])
        _member(output, "conversations", [_item(row) for row in conversations])
        count = await _list(output, "messages", _messages(database, ids))
        await _list(output, "auditLog", _rows(database, "audit_entries", user_id, ids))
        output.write(b"}\n")
    return count


async def _is_online(redis_url: str, user_id: UUID) -> bool:
    cache = Cache(redis_url)
    try:
        batch = cache.batch()
        batch.add("GET", STATUS(user_id))
        [status] = await batch.run()
    finally:
        await cache.close()
    return status is not None


async def _messages(database: Connection, ids: list[UUID]) -> AsyncIterator[Item]:
    for conversation_id in ids:
        async for item in _rows(database, "messages", conversation_id):
            yield {"conversationId": conversation_id, **item}


async def _rows(database: Connection, query: str, *arguments: object) -> AsyncIterator[Item]:
    async for row in database.cursor(SQL[query], *arguments, prefetch=PAGE):
        yield _item(row)


def _item(row: asyncpg.Record) -> Item:
    return {_camel(name): _value(name, value) for name, value in row.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - what PostgreSQL gives
    return orjson.loads(value) if name == "detail" else value


def _json(value: object) -> bytes:
    return orjson.dumps(value, default=str)  # asyncpg's UUID isn't quite uuid's


def _member(output: BinaryIO, name: str, value: object) -> None:
    output.write(b',"%s":%s' % (name.encode(), _json(value)))


async def _list(output: BinaryIO, name: str, items: AsyncIterator[Item]) -> int:
    count = 0
    output.write(b',"%s":[' % name.encode())
    async for item in items:
        output.write(b"%s%s" % (b",\n" if count else b"\n", _json(item)))
        count += 1
    output.write(b"]")
    return count
