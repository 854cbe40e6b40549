"""Asking: commands and barriers that wait for an answer in the asker's own reply queue."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import structlog

from libs.common import topology
from libs.common.broker import Broker, BrokerLost, Channel
from libs.common.content import Incoming
from libs.common.protocol.codec import REPLIES, WRITES
from libs.common.protocol.events import ReplyTo
from libs.common.protocol.replies import Reply
from libs.common.protocol.writes import Barrier

MakeBody = Callable[[ReplyTo], bytes]
"""The AMQP body of a batch with the one item that says where its answer goes."""

log = structlog.get_logger()


class Asking:
    """Asks over one broker connection. For one event loop; it ends with its channel.

    A question may be answered twice or, when its asker has given up, too late: both are
    ignored. One that got no answer may or may not have been done; asking again must be safe.
    """

    def __init__(self, channel: Channel, queue: str, deadline_s: float) -> None:
        """Use `open`."""
        self._channel: Final = channel
        self._queue: Final = queue
        self._deadline_s: Final = deadline_s
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._unpublished: dict[int, asyncio.Task[None]] = {}
        self.lost: Final = channel.lost
        """Done when this can't ask any more: open another."""
        channel.lost.add_done_callback(self._on_lost)

    @classmethod
    async def open(cls, broker: Broker, name: str, deadline_s: float) -> "Asking":
        """Asks on a channel and reply queue of its own. Raises BrokerLost.

        `deadline_s` bounds each question, from the call to its answer. The queues asked must
        have been declared by somebody.
        """
        channel = await broker.channel()
        queue = topology.replies(f"{name}.{uuid4().hex}")
        await channel.declare(queue)
        asking = cls(channel, queue.name, deadline_s)
        await channel.consume(queue.name, asking._receive, acknowledged=False)
        return asking

    async def ask(self, queue: str, make_body: MakeBody) -> Reply:
        """The answer to what `make_body` makes, published lasting to `queue`.

        Raises TimeoutError after the deadline, BrokerLost, Unroutable, Overloaded.
        """
        async with asyncio.timeout(self._deadline_s):
            number, answer = self._expect()
            try:
                await self._publish(queue, make_body, number)
                return await answer
            finally:
                self._forget(number)

    async def ask_barrier(self, partition: int) -> None:
        """Returns when every write that the partition's queue held at the call is in PostgreSQL.

        Calls for one partition share a barrier that is not yet published: it will stand behind
        everything that was queued at each of those calls. One already published may stand
        before some of it, so it is never shared. Raises as `ask`.
        """
        shared = self._unpublished.get(partition)
        if shared is None:
            shared = asyncio.create_task(self._barrier(partition))
            shared.add_done_callback(_see)
            self._unpublished[partition] = shared
        # A caller that gives up must not take the barrier from the others.
        await asyncio.shield(shared)

    async def close(self) -> None:
        """Whoever still waits gets BrokerLost."""
        await self._channel.close()

    async def _barrier(self, partition: int) -> None:
        this = self._unpublished[partition]
        try:
            async with asyncio.timeout(self._deadline_s):
                number, answer = self._expect()
                try:
                    # One publish in flight: those who ask meanwhile share the next barrier.
                    async with self._turns[partition]:
                        del self._unpublished[partition]
                        await self._publish(topology.writes(partition).name, _barrier_body, number)
                    await answer
                finally:
                    self._forget(number)
        finally:
            if self._unpublished.get(partition) is this:
                del self._unpublished[partition]

    def _expect(self) -> tuple[str, asyncio.Future[Reply]]:
        number = str(next(self._numbers))
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        return number, answer

    def _forget(self, number: str) -> None:
        answer = self._waiting.pop(number)
        if not answer.cancel() and not answer.cancelled():
            answer.exception()  # seen: `publish` may have raised before anybody awaited it

    async def _publish(self, queue: str, make_body: MakeBody, number: str) -> None:
        body = make_body(ReplyTo(self._queue, number))
        await self._channel.publish(queue, body, lasting=True)

    def _receive(self, message: Incoming) -> None:
        replies, malformed = REPLIES.decode(message.body)
        for part in malformed:
            log.error("malformed reply", reason=part.reason)
        for reply in replies:
            answer = self._waiting.get(reply.correlation_id)
            if answer is not None and not answer.done():
                answer.set_result(reply)

    def _on_lost(self, _: "asyncio.Future[None]") -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BrokerLost("the answer's queue is gone"))


def _barrier_body(reply_to: ReplyTo) -> bytes:
    return WRITES.encode([Barrier(reply_to.queue, reply_to.correlation_id)])


def _see(task: "asyncio.Task[None]") -> None:
    """Takes note of a failure that nobody is left to be told of."""
    if not task.cancelled():
        task.exception()
