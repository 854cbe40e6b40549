"""When to flush. Pure: time is passed in, in seconds of any clock that only goes forward."""

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Held(NamedTuple, Generic[T]):
    item: T
    size: int
    since: float


class Pending(Generic[T]):
    """What waits for the next flush, first in first out."""

    def __init__(self, *, flush_s: float, flush_size: int, urgent_s: float) -> None:
        """A flush is due `flush_s` after its first item, or when `flush_size` is reached.

        When something is urgent, at once, but not within `urgent_s` of the one before.
        """
        self._flush_s = flush_s
        self._flush_size = flush_size
        self._urgent_s = urgent_s
        self._held: deque[_Held[T]] = deque()
        self._size = 0
        self._urgent = 0
        """How many of the first items must not wait."""
        self._last_take = float("-inf")

    def add(self, item: T, size: int, now: float, *, urgent: bool = False) -> None:
        """`urgent`: somebody waits for this and all that was added before."""
        self._held.append(_Held(item, size, now))
        self._size += size
        if urgent:
            self.hurry()

    def hurry(self) -> None:
        """What is held now must not wait."""
        self._urgent = len(self._held)

    def due(self) -> float | None:
        """When to flush, maybe in the past. None while nothing is held."""
        if not self._held:
            return None
        if self._size >= self._flush_size:
            return self._last_take
        full_wait = self._held[0].since + self._flush_s
        return min(full_wait, self._last_take + self._urgent_s) if self._urgent else full_wait

    def first(self) -> T | None:
        """What has been held for longest."""
        return self._held[0].item if self._held else None

    def take(self, now: float) -> list[T]:
        """The first items, until they reach the size of a flush; at least one."""
        self._last_take = now
        taken: list[T] = []
        size = 0
        while self._held and size < self._flush_size:
            held = self._held.popleft()
            taken.append(held.item)
            size += held.size
        self._size -= size
        self._urgent = max(0, self._urgent - len(taken))
        return taken

    def drop(self, unwanted: Callable[[T], bool]) -> None:
        """Forgets these items."""
        self._held = deque(held for held in self._held if not unwanted(held.item))
        self._size = sum(held.size for held in self._held)
        self._urgent = min(self._urgent, len(self._held))
