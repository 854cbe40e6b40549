"""How often in any second, not in those of a clock: a wave may lie across two."""

from collections.abc import Iterable


def fullest_second(moments: Iterable[float]) -> int:
    """The most of these moments, in seconds, that lie within one second; 0 of none."""
    ordered = sorted(moments)
    first, most = 0, 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - 1:
            first += 1
        most = max(most, last - first + 1)
    return most
