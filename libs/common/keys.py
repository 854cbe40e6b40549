"""Every Redis key: its name, time to live, and the one role that writes it.

Redis is a cache (promise 8): each key can be lost at any moment without losing a message, an
order or a duplicate. No script touches two of them, so a Redis cluster can hold them.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

HOUR: Final = 3600
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the list. `ttl` in seconds."""

    pattern: str
    ttl: int
    writer: str

    def __call__(self, part: UUID | int | str) -> str:
        return self.pattern % part


SEQ: Final = Key("seq:%s", DAY, "router")
"""String `epoch:head` by conversation: the arbiter of sequence numbers. See `router.sequence`."""

EPOCH: Final = Key("epoch:%s", 30 * DAY, "router")
"""Number by partition: its newest owner's epoch. A later owner's is greater, even when Redis'
clock has gone back."""

HEADS: Final = Key("heads:%s", DAY, "router")
"""Hash conversation → head by user, of all their conversations once field `*` is there."""

WARM: Final = Key("warm:%s", DAY, "router")
"""String by partition. Present: since it was set, nothing that Redis should hold of writes still
queued has been lost. Absent (a FLUSHALL): ask PostgreSQL behind a barrier."""

MEMBERS: Final = Key("members:%s", 10, "router and persister, each its own role's")
"""Sorted set of the live replicas by role, scored by the time of their last sign (ms)."""

SESSIONS: Final = Key("ws:user:%s:sessions", DAY, "ws_gateway")
"""Hash session → gateway by user."""

GATEWAY: Final = Key("ws:gateway:%s", 15, "ws_gateway")
"""A sign of life by gateway. Gone while its gateway lives: Redis was emptied; register anew."""
