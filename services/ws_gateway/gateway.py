"""The process: it listens, and carries its connections from one incarnation to the next."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Final

import structlog

from libs.common.broker import Broker
from libs.common.cache import Cache
from libs.common.lifecycle import Life, unless_lost
from libs.common.listener import or_ended
from libs.common.revocation_keys import RevocationKeys
from libs.common.revocations import Revocations
from libs.common.tokens import Verifier
from services.ws_gateway.admission import Admission, Limits
from services.ws_gateway.arrival import Arrival
from services.ws_gateway.connection import Connection
from services.ws_gateway.departures import at_once, departures, pace, spread
from services.ws_gateway.entrance import Entrance
from services.ws_gateway.incarnation import Incarnation
from services.ws_gateway.settings import GatewaySettings
from services.ws_gateway.stream import Stream
from services.ws_gateway.sweep import SWEEP_S, check, check_arrival

BACKLOG: Final = 4096
"""A gateway that restarts gets its clients back within seconds."""
LOOK_AGAIN_S: Final = 0.05
"""From one look at all connections for what was revoked to the next: 4 ms for 10,000."""
LEAVE_WITHIN_S: Final = 2.0
"""What clients have to answer the close of a stopping gateway."""

log = structlog.get_logger()


class Gateway:
    """What all connections share. Everything runs in one loop: nothing is locked."""

    def __init__(
        self, settings: GatewaySettings, verifier: Verifier, cache: Cache, life: Life
    ) -> None:
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.arrivals: set[Arrival] = set()
        """In the handshake."""
        self.connections: set[Connection] = set()
        """Past it."""
        limits = Limits(
            settings.max_connections,
            settings.max_unauthenticated,
            settings.connections_per_ip,
            settings.connects_per_ip_per_second,
        )
        self.entrance = Entrance(settings.origins, settings.proxies, Admission(limits))
        self.incarnation: Incarnation | None = None
        """Where new sessions live. None while there is no broker, or in a drain: they get 503."""
        self.congested = False
        """No client is read: more waits to be published than should."""
        self._congested_at = 0.0
        """By the loop's clock, since when."""
        self._verifier = verifier
        self._cache = cache
        self._life = life
        self._to_flush: list[Stream] = []
        self._server: asyncio.Server | None = None
        self._emptied = asyncio.Event()
        self._sweeping = asyncio.create_task(self._sweep())
        self._is_to_look = False
        self._looked_at = 0.0
        """By the loop's clock, for what was revoked."""
        self._revocations = Revocations(
            verifier.revoked,
            RevocationKeys(cache, settings.revocations_kept_s),
            self._on_revoked,
        )
        self._revoking = asyncio.create_task(self._revocations.run())

    async def listen(self) -> None:
        """From its return on, clients come. Ends the process where the address is taken."""
        host, port = self.settings.listen_host, self.settings.listen_port
        with or_ended(host, port):
            self._server = await self.loop.create_server(
                lambda: Arrival(self), host, port, backlog=BACKLOG, reuse_address=True
            )

    async def serve(self, broker: Broker) -> None:
        """One incarnation, until it is stopped. Raises BrokerLost."""
        channel = await broker.channel()
        incarnation = Incarnation(
            self.settings,
            self._verifier,
            self._cache,
            channel,
            on_congestion=self._on_congestion,
            on_redis=self._on_redis,
        )
        await self._revocations.listen(channel, incarnation.gateway_id)
        # Until Redis has said what was missed: without it no session would open anyway. Not before:
        # what was read until now may lack what only others have heard.
        self._verifier.revoked.is_known = False
        await incarnation.begin()
        self.incarnation = incarnation
        lost = (broker.lost, self._sweeping, *incarnation.failures())
        try:
            await self._life.until_stopped_or_lost(*lost)
            await unless_lost(self._drain(), *lost)
        finally:
            self._life.health.unready("RabbitMQ")
            self._end_sessions("recovering")
            await incarnation.end()

    def close(self) -> None:
        self._sweeping.cancel()
        self._revoking.cancel()
        for one in chain(self.arrivals, self.connections):
            one.abort()

    def gone(self, connection: Connection) -> None:
        """The last call of each."""
        self.connections.discard(connection)
        if not self.connections:
            self._emptied.set()

    def flush_soon(self, stream: Stream) -> None:
        """At the end of this turn of the loop: uvloop would make one system call per write."""
        if not self._to_flush:
            self.loop.call_soon(self._flush)
        self._to_flush.append(stream)

    def _flush(self) -> None:
        streams, self._to_flush = self._to_flush, []
        for stream in streams:
            stream.flush()

    # --- the end -------------------------------------------------------------------------

    async def _drain(self) -> None:
        """SIGTERM: no new clients; each gets its slot, is closed in its wave and may answer.

        Until then its session goes on as ever.
        """
        if self._server is not None:
            self._server.close()
        self.incarnation = None
        leaving = random.sample(tuple(self.connections), len(self.connections))
        rate = pace(len(leaving), self.settings.reconnects_per_second, self.settings.drain_s)
        log.info("draining", connections=len(leaving), per_second=round(rate, 1))
        began = self.loop.time()
        for departure in departures(len(leaving), rate):
            if (early := began + departure.at - self.loop.time()) > 0:
                await asyncio.sleep(early)
            after_s = began + departure.back_at - self.loop.time()
            leaving[departure.number].send_away(max(0.0, after_s), "restarting")
        if self.connections:
            self._emptied.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN_S):
                    await self._emptied.wait()

    def _end_sessions(self, reason: str) -> None:
        self.incarnation = None
        if self.congested:
            self._on_congestion(False)
        self._send_away(tuple(self.connections), self.settings.reconnect_spread_ms / 1000, reason)

    def _send_away(self, leaving: Sequence[Connection], over_s: float, reason: str) -> None:
        """All at once, to come back one by one."""
        for connection, after_s in zip(leaving, spread(len(leaving), over_s), strict=True):
            connection.send_away(after_s, reason)

    # --- what concerns all connections ---------------------------------------------------

    async def _sweep(self) -> None:
        heartbeat_s, pong_s = self.settings.heartbeat_seconds, self.settings.pong_seconds
        while True:
            await asyncio.sleep(SWEEP_S)
            now, wall = self.loop.time(), time.time()
            for arrival in tuple(self.arrivals):
                if arrival.ended or not self.congested:
                    check_arrival(arrival, now)
            old: list[Connection] = []
            for connection in tuple(self.connections):
                if self.congested and not connection.ended:
                    continue  # What we don't read can't be late: see `resume_reading`.
                if connection.leaves_at < now and connection.is_open:
                    old.append(connection)
                try:
                    check(connection, now, wall, heartbeat_s=heartbeat_s, pong_s=pong_s)
                except Exception:  # One bad thing stays one (promise 9).
                    log.exception("check failed", **connection.ids())
                    connection.abort()
            if old and self.incarnation is not None:
                most = at_once(SWEEP_S, self.settings.reconnects_per_second)
                self._send_away(old[:most], SWEEP_S, "rebalancing")

    def _on_revoked(self) -> None:
        if not self._is_to_look:
            self._is_to_look = True
            self.loop.call_at(self._looked_at + LOOK_AGAIN_S, self._end_revoked)

    def _end_revoked(self) -> None:
        self._is_to_look, self._looked_at = False, self.loop.time()
        for connection in tuple(self.connections):
            if not connection.ended and connection.session.is_revoked():
                connection.perform(connection.session.turn_away("TOKEN_REVOKED"))

    def _on_congestion(self, congested: bool) -> None:
        self.congested = congested
        log.info("reading from clients", paused=congested)
        now = self.loop.time()
        for one in chain(self.arrivals, self.connections):
            if congested:
                one.pause_reading()
            else:
                one.resume_reading(self._congested_at, now)
        if congested:
            self._congested_at = now

    def _on_redis(self, answers: bool) -> None:
        if not answers:
            self._life.health.unready("Redis")
        elif self.incarnation is not None and self._verifier.revoked.is_known:
            self._life.health.ready()
