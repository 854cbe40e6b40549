"""`python -m services.persister`: the one writer of PostgreSQL."""

import asyncio
from functools import partial

from libs.common import topology
from libs.common.broker import Broker
from libs.common.cache import Cache
from libs.common.config import load
from libs.common.domain.role import PERSISTER
from libs.common.lifecycle import Life, ended, run, serve_while_connected, tell_health
from libs.common.membership import Membership
from libs.common.ownership import Partitions
from services.persister.flusher import Flusher
from services.persister.indexing import Indexer
from services.persister.settings import PersisterSettings
from services.persister.store import Store
from services.persister.typing_status import TypingStatus


async def persist(settings: PersisterSettings, life: Life) -> None:
    """Stores what the write queues bring until told to stop; then finishes what it holds."""
    name = f"{PERSISTER}-{settings.instance}"
    store = Store(settings.database_url)
    indexer = Indexer(settings.database_url)
    typing = TypingStatus(settings.database_url)
    cache = Cache(settings.redis_url)

    async def serve(broker: Broker) -> None:
        speaking = await Broker.connect(settings.amqp_url, f"{name} speaking")
        try:
            await work(broker, speaking)
        finally:
            await speaking.close()

    async def work(broker: Broker, speaking: Broker) -> None:
        """`broker` takes writes and acknowledges, `speaking` publishes."""
        outgoing = await speaking.channel()
        await outgoing.declare(topology.dead())
        flusher = Flusher(outgoing, store, indexer, settings.flush_ms, settings.flush_items)
        membership = Membership(cache, PERSISTER, settings.instance)
        partitions = Partitions(
            broker,
            membership,
            partitions=settings.partitions,
            prefetch=settings.prefetch,
            work=flusher.work,
        )
        tasks = (
            asyncio.create_task(flusher.run()),
            asyncio.create_task(tell_health(life, partial(_look, store, membership, flusher))),
            asyncio.create_task(indexer.run()),
            asyncio.create_task(typing.store()),
            asyncio.create_task(typing.consume(broker)),
        )
        try:
            await partitions.run(life, outgoing.lost, flusher.failed, *tasks)
        finally:
            await ended(*tasks)

    try:
        await serve_while_connected(settings.amqp_url, name, life, serve)
    finally:
        store.close()
        await cache.close()


def _look(store: Store, membership: Membership, flusher: Flusher) -> str | None:
    flusher.measure_lag()
    if not store.answering:
        return "PostgreSQL"
    return None if membership.joined else "Redis"


if __name__ == "__main__":
    settings = load(PersisterSettings)
    run(PERSISTER, settings, lambda life: persist(settings, life))
