"""What the parts of a router work with."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from libs.common.asking import Asking
from libs.common.broker import Channel, Overloaded, Unroutable
from libs.common.cache import Cache, CacheError
from libs.common.limits import Limit
from services.router.gateways import Gateways
from services.router.settings import RouterSettings
from services.router.store import Store, StoreError

PASSING: Final = (*StoreError, CacheError, Overloaded, Unroutable, TimeoutError)
"""Troubles that pass."""

CONNECTIONS: Final = 4
"""To PostgreSQL, of one router."""
SYNCS_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all partitions of a router share."""

    settings: RouterSettings
    cache: Cache
    store: Store
    asking: Asking
    gateways: Gateways
    syncs: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SYNCS_AT_ONCE))
    """SYNCs under way: the other connections to PostgreSQL are left to who decides."""

    @property
    def limit(self) -> Limit:
        """Of messages; strict."""
        return Limit("messages", self.settings.messages_per_second)


@dataclass(frozen=True, slots=True)
class Station:
    """The same for one partition, on its channel."""

    around: Surroundings
    partition: int
    channel: Channel
