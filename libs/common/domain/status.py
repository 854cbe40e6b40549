"""A message's status. It only rises (DESIGN.md, promise 7)."""

from enum import IntEnum


class Status(IntEnum):
    """Ordered, so that "only rises" is `max`. The database stores the name."""

    SENT = 1
    DELIVERED = 2
    READ = 3
