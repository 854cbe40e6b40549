"""Redis as an operator looks at it: the keys of the service description, read directly."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from redis.asyncio import Redis


class Keys:
    """Use `open_keys`."""

    def __init__(self, redis: "Redis") -> None:
        self.redis: Any = redis

    async def status(self, user: UUID) -> str | None:
        value = await self.redis.get(f"ws:user:{user}:status")
        return None if value is None else str(value.decode())

    async def users(self, conversation: UUID) -> set[str]:
        members = await self.redis.smembers(f"ws:conversation:{conversation}:users")
        return {member.decode() for member in members}

    async def typing(self, conversation: UUID) -> set[str]:
        return {m.decode() for m in await self.redis.zrange(f"typing:{conversation}", 0, -1)}

    async def unread(self, user: UUID) -> dict[str, int]:
        """Conversation → count."""
        fields = await self.redis.hgetall(f"unread:{user}")
        return {
            field.decode(): int(count)
            for field, count in fields.items()
            if not field.startswith((b"@", b"*", b"?"))
        }

    async def ttl(self, name: str) -> int:
        """Seconds; -2 when there is no such key."""
        return int(await self.redis.ttl(name))

    async def empty(self) -> None:
        await self.redis.flushall()


@asynccontextmanager
async def open_keys(variables: Mapping[str, str] = os.environ) -> AsyncIterator[Keys]:
    """Of the stack under test, or of another by its variables."""
    redis = Redis.from_url(variables["CHAT_REDIS_URL"])
    try:
        yield Keys(redis)
    finally:
        await redis.aclose()
