"""Moments travel as integers, milliseconds since 1970 UTC; clients see RFC 3339."""

from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID


def rfc3339(ms: int) -> str:
    """`1764000000123` → `2025-11-24T16:00:00.123Z`."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=16)  # most times that are written at once fall into the same few seconds
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


def milliseconds(moment: datetime) -> int:
    """The inverse, from an aware datetime; exact, without a float's rounding."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1000 + moment.microsecond // 1000


def stamped_at(version_7: UUID) -> int:
    """The moment in an id (RFC 9562, section 5.7): of a try's or a message's, when it was taken."""
    return version_7.int >> 80
