"""Matches of the match service become events of their partition."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog
from uuid_utils.compat import uuid7

from libs.common.broker import Broker, BrokerLost, Channel, Overloaded, Unroutable
from libs.common.content import Incoming
from libs.common.domain.moment import milliseconds
from libs.common.domain.partition import id_beside, partition_of
from libs.common.metrics import DEAD_LETTERS
from libs.common.protocol.codec import EVENTS, MATCH, UNREADABLE, reason_of
from libs.common.protocol.events import CreateConversation, RemoveMatch
from libs.common.topology import MATCH_CREATED, MATCH_REMOVED, events, matches

PREFETCH: Final = 200
REOPEN_S: Final = 1.0

_BURIED: Final = DEAD_LETTERS.labels("matches")

log = structlog.get_logger()


async def forward_matches(broker: Broker, partitions: int) -> None:
    """Consumes `chat.matches`, beside the other routers, until cancelled or the broker is lost.

    A match is acknowledged once its partition's queue has confirmed it; one that can't be read
    goes to `chat.dead`. One router at a time has the queue, so that no removal
    overtakes its match's creation.
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
    by_partition: dict[int, list[CreateConversation | RemoveMatch]] = {}
    for message in batch:
        try:
            event = _event(message, now, partitions)
        except (ValueError, *UNREADABLE) as error:
            await _bury(channel, message, reason_of(error))
            continue
        partition = partition_of(event.match_id, partitions)
        by_partition.setdefault(partition, []).append(event)
    await asyncio.gather(
        *(
            channel.publish(events(partition).name, EVENTS.encode(happened), lasting=True)
            for partition, happened in by_partition.items()
        )
    )
    channel.acknowledge(batch[-1].delivery_tag, multiple=True)


def _event(message: Incoming, now_ms: int, partitions: int) -> CreateConversation | RemoveMatch:
    """Raises one of UNREADABLE, or ValueError when it is neither creation nor removal."""
    if message.routing_key not in (MATCH_CREATED, MATCH_REMOVED):
        raise ValueError(f"nothing is done about {message.routing_key}")
    match = MATCH.decode(message.body)
    if message.routing_key == MATCH_REMOVED:
        return RemoveMatch(match.match_id, now_ms)
    return CreateConversation(
        conversation_id=id_beside(match.match_id, uuid7, partitions),
        match_id=match.match_id,
        user1_id=match.user1_id,
        user2_id=match.user2_id,
        created_at=now_ms,
    )


async def _bury(channel: Channel, message: Incoming, reason: str) -> None:
    _BURIED.inc()
    log.error("match buried", reason=reason)
    await channel.bury(message.body, source=matches().name, reason=reason)
