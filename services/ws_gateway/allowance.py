"""How fast one session may ask, by kind of frame. Pure: `now` is in seconds since 1970.

A bucket that refills: so many at once, and so many a second from then on. It need not be strict
(at worst twice as many in one second), so it costs one number a kind, and nothing until used.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

Kind = Literal["typing", "syncs", "reads"]
K = TypeVar("K", bound=Hashable)

FULL_S: Final = 1.0
"""An empty bucket is full again after this."""
_ROUNDING_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Rates:
    """Frames a second of one session."""

    typing: int
    syncs: int
    reads: int
    others: int
    """Those that the gateway answers by itself."""


class Allowance(Generic[K]):
    """Buckets by kind: of one session, or of all networks."""

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at: dict[K, float] = {}

    def take(self, kind: K, per_second: int, now: float) -> int:
        """Takes one: 0. Or, when there is none, the milliseconds until there is."""
        missing_s = max(self._full_at.get(kind, now) - now, 0.0)
        if missing_s > FULL_S + _ROUNDING_S:
            missing_s = 0.0  # The clock was set back.
        missing_s += 1 / per_second
        if missing_s > FULL_S + _ROUNDING_S:
            return max(1, math.ceil((missing_s - FULL_S) * 1000))
        self._full_at[kind] = now + missing_s
        return 0

    def forget(self, now: float) -> None:
        """Those that are full again: where kinds come from outside, they must not pile up."""
        self._full_at = {kind: at for kind, at in self._full_at.items() if at > now}
