"""Who must come back elsewhere, and when: evenly, however many they are. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

WAVE_S: Final = 0.5
"""The longest from one wave of closes to the next."""
EARLIEST: Final = 0.5
"""Of WAVE_S, and of the age of a connection: jitter lies between this part and the whole."""
SLACK: Final = 0.8
"""Slots take so much of the allowed rate: clients' own latencies, which shift them by up to 0.2 s,
then bring no second above it. With 0.9 a drain at 40/s had a second with 41."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Whoever is `number` in the order of leaving is closed `at` and should be back `back_at`.

    Both in seconds from the start of the drain.
    """

    number: int
    at: float
    back_at: float


def pace(clients: int, per_second: float, within_s: float) -> float:
    """Slots a second: `per_second` with slack, or more where the last would not leave in time."""
    return max(per_second * SLACK, clients / within_s)


def departures(clients: int, slots_per_second: float) -> Iterator[Departure]:
    """Waves of closes; in each the clients whose slots come before the next wave.

    So a client is closed at most WAVE_S before its slot. The pauses between waves are jittered:
    gateways that drain at the same time must not keep step.
    """
    number, at = 0, 0.0
    while number < clients:
        following = at + random.uniform(EARLIEST, 1.0) * WAVE_S
        while number < clients and number / slots_per_second < following:
            slot = (number + random.random()) / slots_per_second
            yield Departure(number, at, max(slot, at))
            number += 1
        at = following


def at_once(every_s: float, per_second: float) -> int:
    """How many may be closed each time, where it is done every so many seconds."""
    return int(per_second * SLACK * every_s)


def spread(clients: int, over_s: float) -> Sequence[float]:
    """Seconds to wait for each of `clients` that are closed at once: a slot each, in any order."""
    slots = [(number + random.random()) * over_s / clients for number in range(clients)]
    random.shuffle(slots)
    return slots


def lifetime(most_s: float) -> float:
    """Seconds that a connection may last: those that began together don't end together.

    0 as `most_s` is for ever.
    """
    return random.uniform(EARLIEST, 1.0) * most_s if most_s else float("inf")
