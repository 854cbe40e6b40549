"""Sends deliveries to the gateways' own queues."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from libs.common.broker import Channel, Overloaded, Unroutable
from libs.common.metrics import UNROUTABLE
from libs.common.protocol.codec import DELIVERIES
from libs.common.protocol.deliveries import Delivery, Missed
from libs.common.topology import deliveries

GONE_MOST: Final = 10_000

log = structlog.get_logger()


class Gateways:
    """Remembers which gateways there are, and which are gone.

    Their ids never come back, but their sessions in Redis may outlive them for a while.
    """

    def __init__(self) -> None:
        self._gone: dict[str, None] = {}
        self.known: set[str] = set()
        """Those that have taken something, or were met, and aren't gone."""
        self._behind: set[str] = set()
        """Whose queue has refused something since; not yet told."""

    def meet(self, gateway_ids: Iterable[str]) -> None:
        """They have given a sign of life."""
        self.known.update(one for one in gateway_ids if one not in self._gone)

    async def is_gone(self, channel: Channel, gateway_id: str) -> bool:
        """Whether its queue is, which an empty batch finds out. Raises BrokerLost."""
        await self.deliver(channel, {gateway_id: ()})
        return gateway_id in self._gone

    async def deliver(self, channel: Channel, batches: Mapping[str, Sequence[Delivery]]) -> None:
        """Returns when each gateway's queue has its batch or is gone. Raises BrokerLost.

        What a gone gateway misses its clients find when they connect elsewhere. One whose queue
        is full is told that it has missed something, with the next batch that it takes.
        """
        await asyncio.gather(
            *(
                self._deliver(channel, gateway_id, batch)
                for gateway_id, batch in batches.items()
                if gateway_id not in self._gone
            )
        )

    async def _deliver(self, channel: Channel, gateway_id: str, batch: Sequence[Delivery]) -> None:
        is_behind = gateway_id in self._behind
        try:
            for body in DELIVERIES.encode_parts((Missed(), *batch) if is_behind else batch):
                await channel.publish(deliveries(gateway_id).name, body, lasting=False)
            self.known.add(gateway_id)
            if is_behind:
                # It ends its sessions: what was refused meanwhile is looked for as well.
                self._behind.discard(gateway_id)
        except Unroutable:
            UNROUTABLE.inc(len(batch))
            self.known.discard(gateway_id)
            self._behind.discard(gateway_id)
            self._gone[gateway_id] = None
            if len(self._gone) > GONE_MOST:
                del self._gone[next(iter(self._gone))]
            log.info("gateway gone", gateway_id=gateway_id)
        except Overloaded:
            UNROUTABLE.inc(len(batch))
            self._behind.add(gateway_id)
            log.warning("gateway overloaded", gateway_id=gateway_id, dropped=len(batch))
