"""Times as people say them. Pure: what time it is, and where, is passed in."""

from datetime import date, datetime
from typing import Final

WEEK_DAYS: Final = 7


def clock(at: datetime) -> str:
    """Hours and minutes."""
    return f"{at:%H:%M}"


def day_of(at: date, today: date) -> str:
    """Of the line between two days; both in the reader's time zone."""
    ago = (today - at).days
    if ago < WEEK_DAYS:
        return "Today" if ago < 1 else "Yesterday" if ago == 1 else f"{at:%A}"
    return f"{at.day} {at:%B %Y}"


def briefly(at: datetime, now: datetime) -> str:
    """Of the last message in a list; both in the reader's time zone."""
    return clock(at) if at.date() == now.date() else f"{at.day} {at:%b}"
