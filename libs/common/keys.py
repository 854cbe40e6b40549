"""Every Redis key: its name, time to live, and the one role that writes it.

Redis is a cache (promise 8): each key can be lost at any moment without losing a message, an
order or a duplicate. No script touches two of them, so a Redis cluster can hold them.
"""

from collections.abc import Sequence
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

    def __call__(self, *parts: UUID | int | str) -> str:
        return self.pattern % parts


SEQ: Final = Key("seq:%s", DAY, "router")
"""String `epoch:head` by conversation: the arbiter of sequence numbers. See `router.sequence`."""

EPOCH: Final = Key("epoch:%s", 30 * DAY, "router")
"""Number by partition: its newest owner's epoch. A later owner's is greater, even when Redis'
clock has gone back."""

HEADS: Final = Key("heads:%s", DAY, "router")
"""Hash conversation → head by user, of all their conversations once field `*` is there. An
archived one's head has a `!` behind it."""

WARM: Final = Key("warm:%s", DAY, "router")
"""String by partition. Present: since it was set, nothing that Redis should hold of writes still
queued has been lost. Absent (a FLUSHALL): ask PostgreSQL behind a barrier."""

MEMBERS: Final = Key("members:%s", 10, "router and persister, each its own role's")
"""Sorted set of the live replicas by role, scored by the time of their last sign (ms)."""

PARTITIONS_MOST: Final = 256
"""As the settings have it."""


def doubtful_with(keys: Sequence[str]) -> list[str]:
    """These keys, which are about to be deleted, and what must go with them.

    Where a head, a count or a session is lost, Redis is to be taken for emptied: without WARM
    readers ask PostgreSQL behind a barrier and routers tell every gateway; without GATEWAYS the
    gateways register all their sessions anew.
    """
    if not any(key.startswith(("seq:", "heads:", "unread:", "ws:")) for key in keys):
        return list(keys)
    return [*keys, GATEWAYS(), *map(WARM, range(PARTITIONS_MOST))]


# --- presence: see `router.presence` -----------------------------------------------------

STATUS: Final = Key("ws:user:%s:status", DAY, "router")
"""String `ONLINE` by user, from the first session until 5 s after the last. Absent: offline."""

USERS: Final = Key("ws:conversation:%s:users", DAY, "router")
"""Set by conversation: its users that are online."""

SESSIONS: Final = Key("ws:user:%s:sessions", DAY, "ws_gateway; router for those of a dead one")
"""Hash session → gateway by user."""

GATEWAYS: Final = Key("ws:gateways", DAY, "ws_gateway")
"""Sorted set of all gateways, scored by their last sign of life (ms, Redis' clock)."""

GATEWAY_USERS: Final = Key("ws:gateway:%s:users:%s", DAY, "ws_gateway; router for a dead one")
"""Set by gateway and partition: the users of that partition who have sessions there."""

LEAVING: Final = Key("ws:leaving:%s", DAY, "ws_gateway adds, router takes")
"""Sorted set by partition: users of whom a session has ended, scored by when (ms, Redis' clock)."""

# --- chat ----------------------------------------------------------------------------------

TYPING: Final = Key("typing:%s", 5, "router")
"""Sorted set by conversation: who types, scored by when that ends (ms since 1970)."""

RECENT: Final = Key("messages:%s", HOUR, "rest_api; router when a message is deleted")
"""Hash by conversation. `head`: the log's head when it was read; `items`: the 50 newest messages
then, as JSON, newest first; `older`: whether there are more. Good while `head` is what HEADS
says; see `rest_api.recent`."""
RECENT_MOST: Final = 50

UNREAD: Final = Key("unread:%s", DAY, "router")
"""Hash by user: conversation → count, of those with any. Besides `@conversation` → the `seq` at
which it was so, and `*` when all of the user's are there, as in HEADS. A count lasts until read."""

RATE: Final = Key("rate:%s:%s", 60, "router, ws_gateway, rest_api: each its own kind's")
"""Sorted set by kind and user: see `limits`."""
