"""When to show a newer token: a session ends with its token. Pure."""

from typing import Final

BEFORE_S: Final = 60.0
"""So long before its end; a short-lived token at half its time."""


def refresh_in_s(left_s: float) -> float:
    """Seconds until a newer token is due, where the session's has so many left."""
    return max(left_s - BEFORE_S, left_s / 2)
