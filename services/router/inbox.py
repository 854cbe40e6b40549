"""What waits for a task: many at once, in order."""

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """For one taker."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._arrived = asyncio.Event()

    def put(self, items: Iterable[T]) -> None:
        self._items += items
        if self._items:
            self._arrived.set()

    async def take(self, within_s: float | None = None) -> list[T]:
        """All that has come, at least one; none when nothing came in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._arrived.wait()
        except TimeoutError:
            return []
        self._arrived.clear()
        items, self._items = self._items, []
        return items
