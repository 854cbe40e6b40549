"""Matches of the match service become events of their partition."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

from libs.common.broker import Broker, BrokerLost, Channel, Incoming, Overloaded, Unroutable
from libs.common.domain.moment import milliseconds
from libs.common.domain.partition import partition_of
from libs.common.metrics import DEAD_LETTERS
from libs.common.protocol.codec import EVENTS, MATCH
from libs.common.protocol.events import CreateConversation
from libs.common.topology import dead, events, matches

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
            channel = await broker.channel(PREFETCH)
            await _forward(channel, partitions)
        except (BrokerLost, Unroutable, Overloaded) as error:
            log.warning("matches interrupted", reason=repr(error))
        await asyncio.sleep(REOPEN_S)


async def _forward(channel: Channel, partitions: int) -> None:
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    for partition in range(partitions):
        await channel.declare(events(partition))
    for queue in (dead(), matches()):
        await channel.declare(queue)
    await channel.consume(matches().name, inbox.put_nowait)
    while not channel.lost.done():
        arrival = asyncio.create_task(inbox.get())
        await asyncio.wait((arrival, channel.lost), return_when=asyncio.FIRST_COMPLETED)
        if not arrival.done():
            arrival.cancel()
            return
        await _forward_batch(channel, [arrival.result(), *_waiting(inbox)], partitions)


def _waiting(inbox: "asyncio.Queue[Incoming]") -> list[Incoming]:
    return [inbox.get_nowait() for _ in range(inbox.qsize())]


async def _forward_batch(channel: Channel, batch: list[Incoming], partitions: int) -> None:
    now = milliseconds(datetime.now(UTC))
    by_partition: dict[int, list[CreateConversation]] = {}
    for message in batch:
        try:
            match = MATCH.decode(message.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            DEAD_LETTERS.labels("matches").inc()
            log.error("match buried", reason=str(error))
            await channel.bury(message.body, source=matches().name, reason=str(error))
            continue
        event = CreateConversation(match.match_id, match.user1_id, match.user2_id, now)
        partition = partition_of(match.match_id, partitions)
        by_partition.setdefault(partition, []).append(event)
    await asyncio.gather(
        *(
            channel.publish(events(partition).name, EVENTS.encode(created), lasting=True)
            for partition, created in by_partition.items()
        )
    )
    await channel.acknowledge(batch[-1].delivery_tag, multiple=True)
