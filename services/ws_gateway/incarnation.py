"""A gateway as the others know it: one broker connection long.

Its id is unique, so a delivery for a session of an earlier life can't reach one of this.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from libs.common import topology
from libs.common.broker import BrokerLost, Channel
from libs.common.cache import Cache
from libs.common.limits import Limit
from libs.common.metrics import CONNECTIONS, UNANSWERED, UNCONFIRMED
from libs.common.protocol.events import Here
from libs.common.tokens import Verifier
from services.ws_gateway.allowance import Rates
from services.ws_gateway.backlog import Backlog
from services.ws_gateway.connection import Connection
from services.ws_gateway.deliveries import Deliveries
from services.ws_gateway.publishing import Publishing
from services.ws_gateway.registration import Registration
from services.ws_gateway.registry import Registry
from services.ws_gateway.session import Phase
from services.ws_gateway.session_keys import Change, Entered, Renewed, SessionKeys, TooMany
from services.ws_gateway.settings import GatewaySettings
from services.ws_gateway.terms import Terms

FLUSH_WITHIN_S: Final = 1.0
MINUTE_MS: Final = 60_000

log = structlog.get_logger()


class Incarnation:
    """Where authenticated sessions live."""

    def __init__(  # noqa: PLR0913 - what an incarnation is made of
        self,
        settings: GatewaySettings,
        verifier: Verifier,
        cache: Cache,
        channel: Channel,
        *,
        on_congestion: Callable[[bool], None],
        on_redis: Callable[[bool], None],
    ) -> None:
        self.gateway_id = f"{settings.instance}-{secrets.token_hex(4)}"
        self.terms = Terms(
            self.gateway_id,
            verifier,
            settings.heartbeat_seconds,
            settings.max_in_flight,
            Rates(
                typing=settings.typing_per_second,
                syncs=settings.syncs_per_second,
                reads=settings.reads_per_second,
                others=settings.frames_per_second,
            ),
            uuid7,
            Backlog(settings.partitions, settings.backlog),
        )
        self.publishing = Publishing(
            channel,
            settings.partitions,
            pacing_s=settings.gateway_pacing_ms / 1000,
            receipt_patience_s=settings.receipt_patience_ms / 1000,
            on_congestion=on_congestion,
        )
        self._channel = channel
        self._partitions = settings.partitions
        self._registry: Registry[Connection] = Registry()
        keys = SessionKeys(
            cache,
            self.gateway_id,
            settings.partitions,
            Limit("connects", settings.connects_per_minute, MINUTE_MS),
            settings.sessions_per_user,
        )
        self._registration = Registration(
            keys,
            users=self._registry.users,
            on_written=self._on_written,
            on_redis=on_redis,
        )
        self._keeping_alive: asyncio.Task[None] | None = None
        self._missed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        UNANSWERED.set_function(lambda: self.terms.backlog.waiting)
        UNCONFIRMED.set_function(lambda: self.publishing.waiting_bytes)

    async def begin(self) -> None:
        """From its return on, deliveries are consumed. Raises BrokerLost."""
        for partition in range(self._partitions):
            await self._channel.find(topology.events(partition))
            await self._channel.find(topology.signals(partition))
        await self._channel.find(topology.dead())
        queue = topology.deliveries(self.gateway_id)
        await self._channel.declare(queue)
        deliveries = Deliveries(
            self._registry, self.terms.backlog, self.publishing.bury, self._on_missed
        )
        await self._channel.consume(queue.name, deliveries.receive, acknowledged=False)
        self._keeping_alive = asyncio.create_task(self._registration.keep_alive())
        log.info("gateway begins", gateway_id=self.gateway_id)

    def failures(self) -> "list[asyncio.Future[None]]":
        """When one of them is done, this incarnation is over."""
        futures = [
            self._channel.lost,
            self._registration.failed,
            self._missed,
            *self.publishing.failures(),
        ]
        if self._keeping_alive is not None:
            futures.append(self._keeping_alive)
        return futures

    async def end(self) -> None:
        """Tells what it still can, each within FLUSH_WITHIN_S. The sessions have been ended."""
        if self._keeping_alive is not None:
            self._keeping_alive.cancel()
        try:
            async with asyncio.timeout(FLUSH_WITHIN_S):
                await self.publishing.drain()
        except (BrokerLost, TimeoutError) as error:
            log.warning("events not confirmed", reason=repr(error))
        self.publishing.close()
        await self._registration.end(FLUSH_WITHIN_S)
        log.info("gateway ends", gateway_id=self.gateway_id)

    def _on_missed(self) -> None:
        """As after a lost connection: all clients come back, and find by their heads what it was.

        Also because who is 10,000 batches behind has more clients than it can bear.
        """
        if not self._missed.done():
            self._missed.set_exception(BrokerLost("its queue was full: deliveries were lost"))

    # --- the sessions --------------------------------------------------------------------

    def enter(self, connection: Connection) -> None:
        """An authenticated session: registered first, then opened.

        In this order the router reads the heads when it already finds the session: no entry
        falls between the snapshot and what is delivered live.
        """
        session = connection.session
        self._registry.add(session.user_id, session.session_id, connection)
        self._registration.enter(session.user_id, session.session_id)
        CONNECTIONS.inc()
        log.info("session begins", **connection.ids())

    def ask(self, connection: Connection) -> None:
        """For the heads, which CONNECT_SUCCESS needs."""
        connection.asked_at = asyncio.get_running_loop().time()
        self.publishing.signal(connection.session.open_signal())

    def leave(self, connection: Connection) -> None:
        """The session is over. One that never entered is nothing to us."""
        session = connection.session
        if session.phase is Phase.AWAITING_TOKEN:
            return
        if self._registry.remove(session.user_id, session.session_id):
            is_last = not self._registry.members(session.user_id)
            self._registration.leave(session.user_id, session.session_id, is_last=is_last)
            CONNECTIONS.dec()
            log.info("session ends", code=connection.close_code, **connection.ids())

    # --- what Redis now knows --------------------------------------------------------------

    def _on_written(self, change: Change, too_many: TooMany | None) -> None:
        match change:
            case Entered(_, session_id) if too_many is not None:
                self._on_refused(session_id, too_many)
            case Entered(_, session_id):
                self._on_registered(session_id)
            case Renewed(user_id, session_ids):
                self._on_renewed(user_id, session_ids)

    def _on_refused(self, session_id: UUID, too_many: TooMany) -> None:
        """It ends, and so leaves Redis again."""
        if connection := self._registry.session(session_id):
            session = connection.session
            connection.perform(session.turn_down(too_many.error, too_many.retry_after_ms))

    def _on_registered(self, session_id: UUID) -> None:
        connection = self._registry.session(session_id)
        if connection is not None and connection.session.phase is Phase.OPENING:
            self.ask(connection)

    def _on_renewed(self, user_id: UUID, session_ids: list[UUID]) -> None:
        """Redis may have lost that the user is online, and who asked for CONNECT_SUCCESS."""
        if self._registry.members(user_id):
            self.publishing.signal(Here(user_id))
        for session_id in session_ids:
            self._on_registered(session_id)
