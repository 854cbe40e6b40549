"""What waits: events for PostgreSQL, AMQP messages for their acknowledgement. Pure.

Only what concerns a conversation that isn't at hand waits for PostgreSQL; all others go on, also
while it is away. What waits stays unacknowledged, so a router's death loses nothing of it.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from libs.common.protocol.events import Event
from services.router.memory import Memory


class Arrival(NamedTuple):
    """An event as it came."""

    event: Event
    tag: int
    """Delivery tag of the AMQP message that brought it."""
    is_again: bool
    """Another router may have decided it."""


class Waiting:
    """Events set aside, in order, until `Memory` has loaded what they need."""

    def __init__(self) -> None:
        self._arrivals: list[Arrival] = []
        self.places: set[UUID] = set()
        """`Memory.place` of each: what comes for one of them waits behind it."""

    def __len__(self) -> int:
        return len(self._arrivals)

    def snapshot(self) -> list[Arrival]:
        """All that wait now, in order."""
        return self._arrivals.copy()

    def admit(self, arrivals: Sequence[Arrival], memory: Memory) -> Sequence[Arrival]:
        """Those that can be decided now; sets the others aside."""
        if not self._arrivals and not memory.lacks(events(arrivals), again(arrivals)):
            return arrivals
        ready: list[Arrival] = []
        for arrival in arrivals:
            place = memory.place(arrival.event)
            if place in self.places or memory.lacks(events([arrival]), again([arrival])):
                self._arrivals.append(arrival)
                self.places.add(place)
            else:
                ready.append(arrival)
        return ready

    def release(self, count: int, memory: Memory) -> list[Arrival]:
        """The first `count`, whose needs memory has taken in, and what waited only behind them."""
        loaded, behind = self._arrivals[:count], self._arrivals[count:]
        self._arrivals.clear()
        self.places.clear()
        return [*loaded, *self.admit(behind, memory)]


class Unacknowledged:
    """AMQP messages by delivery tag, each with its number of undecided events."""

    def __init__(self) -> None:
        self._left: dict[int, int] = {}
        """In the order of their coming, so by rising tag."""

    def came(self, tag: int, count: int) -> None:
        """An AMQP message with so many events."""
        self._left[tag] = count

    def decided(self, arrivals: Iterable[Arrival]) -> None:
        """Each once, when all that they bring about is told."""
        for arrival in arrivals:
            self._left[arrival.tag] -= 1

    def take_finished(self) -> tuple[int | None, list[int]]:
        """The tag up to which all are finished, and later ones that are; each is told once."""
        up_to = None
        while self._left:
            tag = next(iter(self._left))
            if self._left[tag]:
                break
            del self._left[tag]
            up_to = tag
        scattered = [tag for tag, left in self._left.items() if not left]
        for tag in scattered:
            del self._left[tag]
        return up_to, scattered


def events(arrivals: Iterable[Arrival]) -> list[Event]:
    """In order."""
    return [arrival.event for arrival in arrivals]


def again(arrivals: Iterable[Arrival]) -> Collection[Event]:
    """Those that another router may have decided."""
    return [arrival.event for arrival in arrivals if arrival.is_again]
