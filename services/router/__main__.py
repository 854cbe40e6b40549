"""The router: decides, and tells whoever must know. `python -m services.router`."""

import asyncio
from functools import partial
from typing import Final

import asyncpg

from libs.common.asking import Asking
from libs.common.broker import Broker
from libs.common.cache import Cache
from libs.common.config import load
from libs.common.domain.role import ROUTER
from libs.common.lifecycle import Life, ended, run, serve_while_connected, tell_health
from libs.common.membership import Membership
from libs.common.ownership import Partitions
from libs.common.topology import dead, events, matches, signals, typing, writes
from services.router.gateways import Gateways
from services.router.matches import forward_matches
from services.router.settings import RouterSettings
from services.router.store import Store
from services.router.surroundings import CONNECTIONS, Surroundings
from services.router.worker import Worker

BARRIER_S: Final = 30.0
"""How long to wait for a barrier before asking for another: PostgreSQL may be away."""
CONNECT_S: Final = 5.0
READ_S: Final = 10.0
"""A PostgreSQL that vanished without a word must not hold a partition for ever."""


async def main(settings: RouterSettings, life: Life) -> None:
    """Works on its share of the partitions, on one broker connection after the other."""
    cache = Cache(settings.redis_url)
    async with asyncpg.create_pool(
        settings.database_url,
        min_size=0,
        max_size=CONNECTIONS,
        timeout=CONNECT_S,
        command_timeout=READ_S,
    ) as pool:

        async def serve(broker: Broker) -> None:
            await _declare(broker, settings.partitions)
            asking = await Asking.open(broker, settings.instance, deadline_s=BARRIER_S)
            around = Surroundings(settings, cache, Store(pool), asking, Gateways())
            membership = Membership(cache, ROUTER, settings.instance)
            partitions = Partitions(
                broker,
                membership,
                partitions=settings.partitions,
                prefetch=settings.router_prefetch,
                work=partial(Worker.work, around),
            )
            beside = (
                asyncio.create_task(forward_matches(broker, settings.partitions)),
                asyncio.create_task(
                    tell_health(life, lambda: None if membership.answered else "Redis")
                ),
            )
            try:
                await partitions.run(life, asking.lost, *beside)
            finally:
                await ended(*beside)

        await serve_while_connected(settings.amqp_url, settings.instance, life, serve)
    await cache.close()


async def _declare(broker: Broker, partitions: int) -> None:
    """All queues, before this router says that it is ready. Raises BrokerLost."""
    channel = await broker.channel()
    await channel.declare(dead())
    await channel.declare(matches())
    await channel.declare(typing())
    for partition in range(partitions):
        for queue in (events(partition), signals(partition), writes(partition)):
            await channel.declare(queue)
    await channel.close()


if __name__ == "__main__":
    settings = load(RouterSettings)
    run(ROUTER, settings, partial(main, settings))
