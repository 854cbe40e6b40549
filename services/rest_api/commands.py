"""The way to the router and the persister: one thread with an event loop that asks for all.

The same loop hears what is revoked.
"""

import asyncio
import concurrent.futures
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from threading import Thread
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import structlog
import uvloop
from uuid_utils.compat import uuid7

from libs.common import topology
from libs.common.admin import Health
from libs.common.asking import Asking
from libs.common.broker import Broker, BrokerLost, Channel, Overloaded, Unroutable
from libs.common.cache import Cache
from libs.common.domain.partition import id_beside, partition_of
from libs.common.domain.revocation import RevocationList
from libs.common.lifecycle import RETRY_MOST_S, Life, beat, ended, serve_while_connected
from libs.common.metrics import BARRIERS
from libs.common.protocol import events
from libs.common.protocol.codec import EVENTS
from libs.common.protocol.events import Event, ReplyTo
from libs.common.protocol.replies import ConversationReady, Refused, Reply
from libs.common.revocation_keys import RevocationKeys
from libs.common.revocations import Revocations
from services.rest_api.settings import RestSettings

STOP_S: Final = 5.0

T = TypeVar("T")

log = structlog.get_logger()


class Unanswered(Exception):
    """No answer in time or no broker. It may have been done or not; asking again is safe."""


class CommandRefused(Exception):
    """The router refuses a command. `error` is a constant of `protocol.errors`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Commands:
    """Questions and commands from any thread. Each raises Unanswered, at once without RabbitMQ.

    Commands raise CommandRefused besides; each is safe to repeat. `now_ms`: ms since 1970.
    """

    def __init__(self, settings: RestSettings, health: Health, revoked: RevocationList) -> None:
        self._settings = settings
        self._revoked = revoked
        self._life = Life(health)
        self._loop = uvloop.new_event_loop()
        self._thread = Thread(target=self._run, name="commands", daemon=True)
        self._asking: Asking | None = None
        self._telling: Channel | None = None

    @property
    def connected(self) -> bool:
        return self._asking is not None

    def start(self) -> None:
        """After the fork: threads don't survive it."""
        self._thread.start()

    def stop(self) -> None:
        """Whoever still waits gets Unanswered."""
        self._loop.call_soon_threadsafe(self._life.stopping.set)
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def pass_barriers(self, partitions: Collection[int]) -> None:
        """Returns when all that their write queues held at the call is in PostgreSQL."""
        BARRIERS.inc(len(partitions))

        async def ask(asking: Asking) -> None:
            await asyncio.gather(*map(asking.ask_barrier, partitions))

        self._wait_for(ask)

    def create_conversation(
        self, match_id: UUID, user1_id: UUID, user2_id: UUID, now_ms: int
    ) -> ConversationReady:
        """The match's conversation, made if it has none."""
        conversation_id = id_beside(match_id, uuid7, self._settings.partitions)
        users = (user1_id, user2_id)
        reply = self._command(
            match_id,
            lambda to: events.CreateConversation(conversation_id, match_id, *users, now_ms, to),
        )
        if not isinstance(reply, ConversationReady):
            raise TypeError(f"a creation was answered with {type(reply).__name__}")
        return reply

    def archive_conversation(self, conversation_id: UUID, user_id: UUID, now_ms: int) -> None:
        """Returns when it is kept that the conversation is archived."""
        self._command(
            conversation_id,
            lambda to: events.ArchiveConversation(conversation_id, user_id, now_ms, to),
        )

    def delete_message(
        self, conversation_id: UUID, message_id: UUID, user_id: UUID, now_ms: int
    ) -> None:
        """Returns when it is kept that the message is deleted."""
        self._command(
            conversation_id,
            lambda to: events.DeleteMessage(conversation_id, user_id, message_id, now_ms, to),
        )

    def mark_read(
        self, conversation_id: UUID, message_id: UUID, user_id: UUID, now_ms: int
    ) -> None:
        """Returns when it is kept that the message is read."""
        self._command(
            conversation_id,
            lambda to: events.MarkRead(
                conversation_id, user_id, [message_id], None, now_ms, reply_to=to
            ),
        )

    def tell(self, queue: str, body: bytes, *, lasting: bool) -> None:
        """Publishes, and returns at once; nobody learns whether it arrived."""
        channel = self._telling
        if channel is not None:
            asyncio.run_coroutine_threadsafe(_publish(channel, queue, body, lasting), self._loop)

    def _command(self, key: UUID, event: Callable[[ReplyTo], Event]) -> Reply:
        """`key`: the conversation's or match's id, in whose partition the event belongs."""
        queue = topology.events(partition_of(key, self._settings.partitions)).name

        async def ask(asking: Asking) -> Reply:
            return await asking.ask(queue, lambda reply_to: EVENTS.encode([event(reply_to)]))

        reply = self._wait_for(ask)
        if isinstance(reply, Refused):
            raise CommandRefused(reply.error)
        return reply

    def _wait_for(self, ask: Callable[[Asking], Coroutine[Any, Any, T]]) -> T:
        asking = self._asking
        if asking is None:
            raise Unanswered("RabbitMQ is away")
        answer = asyncio.run_coroutine_threadsafe(ask(asking), self._loop)
        try:
            # The deadline is Asking's; one second more only in case the loop itself is stuck.
            return answer.result(self._settings.rest_deadline_s + 1)
        except (
            BrokerLost,
            Unroutable,
            Overloaded,
            TimeoutError,
            concurrent.futures.CancelledError,
        ) as error:
            answer.cancel()
            raise Unanswered(type(error).__name__) from error

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._keep_serving())

    async def _keep_serving(self) -> None:
        name = f"rest_api {self._settings.instance}"
        cache = Cache(self._settings.redis_url)
        keys = RevocationKeys(cache, self._settings.revocations_kept_s)
        revocations = Revocations(self._revoked, keys, on_change=_nobody_to_end)
        beating = asyncio.create_task(beat(self._life.health))
        hearing = asyncio.create_task(revocations.run())
        serve = partial(self._serve, revocations)
        while not self._life.stopping.is_set():
            try:
                await serve_while_connected(self._settings.amqp_url, name, self._life, serve)
            except Exception:
                # A role of one loop would end here and be started anew; this process has other
                # threads, which serve on and need this one.
                log.exception("commands interrupted")
                await self._life.pause(RETRY_MOST_S)
        await ended(beating, hearing)
        await cache.close()

    async def _serve(self, revocations: Revocations, broker: Broker) -> None:
        await self._find_queues(broker)
        name = f"rest_api.{self._settings.instance}"
        asking = await Asking.open(broker, name, self._settings.rest_deadline_s)
        telling = await broker.channel()
        await revocations.listen(telling, f"{name}.{uuid4().hex}")
        self._asking, self._telling = asking, telling
        try:
            await self._life.until_stopped_or_lost(broker.lost, asking.lost, telling.lost)
        finally:
            self._asking = self._telling = None

    async def _find_queues(self, broker: Broker) -> None:
        """Those that are asked. This role may be the first to start: then it waits for a router."""
        channel = await broker.channel()
        await channel.find(topology.dead())
        for partition in range(self._settings.partitions):
            await channel.find(topology.events(partition))
            await channel.find(topology.signals(partition))
            await channel.find(topology.writes(partition))
        await channel.close()


def _nobody_to_end() -> None:
    """A call's token is checked as it comes."""


async def _publish(channel: Channel, queue: str, body: bytes, lasting: bool) -> None:
    try:
        await channel.publish(queue, body, lasting=lasting)
    except (BrokerLost, Unroutable, Overloaded) as error:
        log.info("hint lost", queue=queue, reason=type(error).__name__)
