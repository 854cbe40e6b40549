"""Gateways that died: their sessions are taken out of Redis, so that their users are leaving."""

from typing import Final

import structlog

from libs.common.keys import GATEWAY_USERS, GATEWAYS, LEAVING, SESSIONS
from services.router import sequence
from services.router.overdue import overdue, parts
from services.router.surroundings import Station

SILENT_MS: Final = 8_000
"""A gateway without a sign of life for so long is dead: with the grace and two looks its users
are OFFLINE within 15 s. One that only slept registers anew (`ws_gateway.registration`)."""

log = structlog.get_logger()


class DeadGateways:
    """As far as users of one partition were there."""

    def __init__(self, station: Station) -> None:
        self._partition = station.partition
        self._cache = station.around.cache
        self._buried: frozenset[str] = frozenset()
        """Those whose users have been seen to."""

    async def look(self) -> None:
        """Sees to those that have fallen silent. Raises CacheError; then look again."""
        silent = {
            gateway.decode(errors="replace"): since
            for gateway, since in await overdue(self._cache, GATEWAYS(), SILENT_MS)
        }
        for gateway_id in silent.keys() - self._buried:
            await self._bury(gateway_id, silent[gateway_id])
        self._buried = frozenset(silent)

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
