"""Matches of the match service become events of their partition."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog
from uuid_utils.compat import uuid7

from libs.common.broker import Broker, BrokerLost, Channel, Incoming, Overloaded, Unroutable
from libs.common.domain.moment import milliseconds
from libs.common.domain.partition import id_beside, partition_of
from libs.common.metrics import DEAD_LETTERS
from libs.common.protocol.codec import EVENTS, MATCH, UNREADABLE
from libs.common.protocol.events import CreateConversation
from libs.common.protocol.matches import Match
from libs.common.topology import MATCH_CREATED, events, matches

PREFETCH: Final = 200
REOPEN_S: Final = 1.0

log = structlog.get_logger()


async def forward_matches(broker: Broker, partitions: int) -> None:
    """Consumes `chat.matches`, beside the other routers, until cancelled or the broker is lost.

    A match is acknowledged once its partition's queue has confirmed it; one that can't be read
    goes to `chat.dead`. Matches need no order among each other.
    """
    while not broker.lost.done():
        try:
            await _forward(await broker.channel(PREFETCH), partitions)
        except (BrokerLost, Unroutable, Overloaded) as error:
            log.warning("matches interrupted", reason=repr(error))
        await asyncio.sleep(REOPEN_S)


async def _forward(channel: Channel, partitions: int) -> None:
    """One channel's life. Closing it gives the matches it holds to another router, or us again."""
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    try:
        await channel.consume(matches().name, inbox.put_nowait)
        while not channel.lost.done():
            batch = await _next_batch(inbox, channel)
            if batch:
                await _forward_batch(channel, batch, partitions)
    finally:
        await channel.close()


async def _next_batch(inbox: "asyncio.Queue[Incoming]", channel: Channel) -> list[Incoming]:
    """What has come, at least one; none when the channel is lost."""
    arrival = asyncio.create_task(inbox.get())
    try:
        await asyncio.wait((arrival, channel.lost), return_when=asyncio.FIRST_COMPLETED)
        if not arrival.done():
            return []
        return [arrival.result(), *(inbox.get_nowait() for _ in range(inbox.qsize()))]
    finally:
        arrival.cancel()


async def _forward_batch(channel: Channel, batch: list[Incoming], partitions: int) -> None:
    """One that is forwarded again, after a crash, brings another id, which is then not used."""
    now = milliseconds(datetime.now(UTC))
    by_partition: dict[int, list[CreateConversation]] = {}
    for message in batch:
        try:
            match = _created(message)
        except (ValueError, *UNREADABLE) as error:
            await _bury(channel, message, repr(error))
            continue
        event = CreateConversation(
            conversation_id=id_beside(match.match_id, uuid7, partitions),
            match_id=match.match_id,
            user1_id=match.user1_id,
            user2_id=match.user2_id,
            created_at=now,
        )
        partition = partition_of(match.match_id, partitions)
        by_partition.setdefault(partition, []).append(event)
    await asyncio.gather(
        *(
            channel.publish(events(partition).name, EVENTS.encode(created), lasting=True)
            for partition, created in by_partition.items()
        )
    )
    await channel.acknowledge(batch[-1].delivery_tag, multiple=True)


def _created(message: Incoming) -> Match:
    """Raises one of UNREADABLE, or ValueError when it is no match.created."""
    if message.routing_key != MATCH_CREATED:
        raise ValueError(f"nothing is done about {message.routing_key}")
    return MATCH.decode(message.body)


async def _bury(channel: Channel, message: Incoming, reason: str) -> None:
    DEAD_LETTERS.labels("matches").inc()
    log.error("match buried", reason=reason)
    await channel.bury(message.body, source=matches().name, reason=reason)
