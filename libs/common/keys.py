"""Every Redis key: its name, time to live, and the roles that write and read it.

Redis is a cache (promise 8): each key can be lost at any moment without losing a message, an
order or a duplicate. No script touches two of them, so a Redis cluster can hold them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from libs.common.domain import partition
from libs.common.domain.role import GATEWAY, PERSISTER, PRIVACY, REST, ROUTER

HOUR: Final = 3600
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the list. `ttl` in seconds.

    The privileges follow from it: nobody else gets at it (`privileges`).
    """

    pattern: str
    ttl: int
    writers: tuple[str, ...]
    readers: tuple[str, ...] = ()
    """Besides the writers."""
    first: Mapping[str, str] = field(default_factory=dict)
    """By role, the first part of those names that are its own; none: all are."""
    removers: tuple[str, ...] = ()
    """Who can't write or read it, but may take it away."""

    def __call__(self, *parts: UUID | int | str) -> str:
        return self.pattern % parts


SEQ: Final = Key("seq:%s", DAY, (ROUTER,))
"""String `epoch:head` by conversation: the arbiter of sequence numbers. See `router.sequence`."""

EPOCH: Final = Key("epoch:%s", 30 * DAY, (ROUTER,))
"""Number by partition: its newest owner's epoch. A later owner's is greater, even when Redis'
clock has gone back."""

HEADS: Final = Key("heads:%s", DAY, (ROUTER,), (REST,))
"""Hash conversation → head by user, of all their conversations once field `*` is there. An
archived one's head has a `!` behind it."""

WARM: Final = Key("warm:%s", DAY, (ROUTER,), (REST,), removers=(GATEWAY,))
"""String by partition. Present: since it was set, nothing that Redis should hold of writes still
queued has been lost. Absent (a FLUSHALL): ask PostgreSQL behind a barrier. Why a gateway takes it
away: see `doubtful_with`."""

MEMBERS: Final = Key(
    "members:%s", 10, (ROUTER, PERSISTER), first={ROUTER: "router", PERSISTER: "persister"}
)
"""Sorted set of the live replicas by role, scored by the time of their last sign (ms)."""

# --- presence: see `router.presence` -----------------------------------------------------

STATUS: Final = Key("ws:user:%s:status", DAY, (ROUTER,), (REST, PRIVACY))
"""String `ONLINE` by user, from the first session until 5 s after the last. Absent: offline."""

USERS: Final = Key("ws:conversation:%s:users", DAY, (ROUTER,))
"""Set by conversation: its users that are online."""

SESSIONS: Final = Key("ws:user:%s:sessions", DAY, (GATEWAY, ROUTER))
"""Hash session → gateway by user. The router takes those of a dead gateway out."""

GATEWAYS: Final = Key("ws:gateways", DAY, (GATEWAY, ROUTER))
"""Sorted set of all gateways, scored by their last sign of life (ms, Redis' clock). The router
reads it, by a script: for Redis, whoever runs one may write."""

GATEWAY_USERS: Final = Key("ws:gateway:%s:users:%s", DAY, (GATEWAY, ROUTER))
"""Set by gateway and partition: the users of that partition who have sessions there. The router's
once the gateway is dead."""

LEAVING: Final = Key("ws:leaving:%s", DAY, (GATEWAY, ROUTER))
"""Sorted set by partition: users of whom a session has ended, scored by when (ms, Redis' clock).
Gateways add, the router takes."""

# --- who may come in ----------------------------------------------------------------------

REVOCATIONS: Final = Key("revocations", 31 * DAY, (GATEWAY, REST))
"""Sorted set of `user:{id}` and `token:{jti}`, scored by when they were revoked (s since 1970).
All that live gateways and REST workers know, which is what they put it back from. What is older
than a token can be is taken out. See `revocations`."""

# --- chat ----------------------------------------------------------------------------------

TYPING: Final = Key("typing:%s", 5, (ROUTER,))
"""Sorted set by conversation: who types, scored by when that ends (ms since 1970)."""

RECENT: Final = Key("messages:%s", HOUR, (REST, ROUTER))
"""Hash by conversation. `head`: the log's head when it was read; `items`: the 50 newest messages
then, as JSON, newest first; `older`: whether there are more. Good while `head` is what HEADS
says; see `rest_api.recent`. The router takes the items away when a message is deleted."""
RECENT_MOST: Final = 50

UNREAD: Final = Key("unread:%s", DAY, (ROUTER,), (REST,))
"""Hash by user: conversation → count, of those with any. Besides `@conversation` → the `seq` at
which it was so, and `*` when all of the user's are there, as in HEADS. A count lasts until read."""

RATE: Final = Key(
    "rate:%s:%s",
    60,
    (ROUTER, GATEWAY, REST),
    first={ROUTER: "messages", GATEWAY: "connects", REST: "calls"},
)
"""Sorted set by kind and user: see `limits`."""

# --- what goes together -------------------------------------------------------------------

_TELLING: Final = tuple(
    key.pattern.partition("%")[0]
    for key in (SEQ, HEADS, UNREAD, STATUS, USERS, SESSIONS, GATEWAYS, GATEWAY_USERS, LEAVING)
)
"""How the names begin of those that tell how far the logs have come, or who is here."""


def doubtful_with(keys: Sequence[str]) -> list[str]:
    """These keys, which are about to be deleted, and what must go with them.

    Where a head, a count or a session is lost, Redis is to be taken for emptied: without WARM
    readers ask PostgreSQL behind a barrier and routers tell every gateway; without GATEWAYS the
    gateways register all their sessions anew.
    """
    if not any(key.startswith(_TELLING) for key in keys):
        return list(keys)
    return [*keys, GATEWAYS(), *map(WARM, range(partition.MOST))]
