"""Moments travel as integers, milliseconds since 1970 UTC; clients see RFC 3339."""

from datetime import UTC, datetime


def rfc3339(ms: int) -> str:
    """`1764000000123` → `2025-11-24T16:00:00.123Z`."""
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}.{ms % 1000:03d}Z"


def milliseconds(moment: datetime) -> int:
    """The inverse, from an aware datetime; exact, without a float's rounding."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1000 + moment.microsecond // 1000
