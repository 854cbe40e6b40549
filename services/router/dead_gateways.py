"""Gateways that died: their sessions are taken out of Redis, so that their users are leaving."""

from typing import Final

import structlog

from libs.common.keys import GATEWAY_USERS, GATEWAYS, LEAVING, SESSIONS
from services.router import sequence
from services.router.overdue import overdue, parts
from services.router.surroundings import Station

SILENT_MS: Final = 8_000
"""A gateway without a sign of life for so long, and without its queue, is dead: with the grace and
two looks its users are OFFLINE within 15 s. RabbitMQ takes the queue of one that is killed at once,
of one that sleeps after two heartbeats. One that has its queue is only cut off from Redis: its
sessions must stay, as what is published for them would reach nobody (promise 6)."""

log = structlog.get_logger()


class DeadGateways:
    """As far as users of one partition were there."""

    def __init__(self, station: Station) -> None:
        self._partition = station.partition
        self._cache = station.around.cache
        self._gateways = station.around.gateways
        self._channel = station.channel
        self._buried: set[str] = set()
        """Those whose users have been seen to."""

    async def look(self) -> None:
        """Sees to those that are dead. Raises CacheError, BrokerLost; then look again."""
        # Also those that this router has told nothing yet: for when Redis is emptied.
        self._gateways.meet(await self._since(0))
        silent = await self._since(SILENT_MS)
        for gateway_id in silent.keys() - self._buried:
            if await self._gateways.is_gone(self._channel, gateway_id):
                await self._bury(gateway_id, silent[gateway_id])
                self._buried.add(gateway_id)
        self._buried &= silent.keys()

    async def _since(self, at_least_ms: int) -> dict[str, bytes]:
        """Whose last sign of life is of this age at least, and when it was."""
        signs = await overdue(self._cache, GATEWAYS(), at_least_ms)
        return {gateway.decode(errors="replace"): since for gateway, since in signs}

    async def _bury(self, gateway_id: str, since: bytes) -> None:
        theirs = GATEWAY_USERS(gateway_id, self._partition)
        batch = self._cache.batch()
        batch.add("SMEMBERS", theirs)
        [users] = await batch.run()
        for some in parts(sequence.ids_in(users)):
            listeners = await sequence.sessions(self._cache, some)
            batch = self._cache.batch()
            for user_id, sessions in listeners.items():
                for session_id, gateway in sessions.items():
                    if gateway == gateway_id:
                        batch.add("HDEL", SESSIONS(user_id), str(session_id))
                batch.add("ZADD", LEAVING(self._partition), "NX", since, str(user_id))
            await batch.run()
        batch = self._cache.batch()
        batch.add("DEL", theirs)
        await batch.run()
        log.info("gateway dead", gateway_id=gateway_id, users=len(users))
