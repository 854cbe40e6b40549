"""Questions and barriers over a channel that the test holds in its hands."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from libs.common.asking import Asking
from libs.common.broker import Broker, BrokerLost, Channel, Unroutable
from libs.common.content import Incoming
from libs.common.protocol.codec import REPLIES, WRITES
from libs.common.protocol.replies import BarrierPassed
from libs.common.protocol.writes import Barrier
from libs.common.topology import Queue


class HeldChannel:
    """Publishes wait in `published` until the test confirms them."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.published: list[tuple[Barrier, asyncio.Future[None]]] = []
        self._receive: Callable[[Incoming], None] | None = None

    async def declare(self, queue: Queue) -> None:
        assert queue.exclusive

    async def consume(
        self, queue: str, receive: Callable[[Incoming], None], *, acknowledged: bool = True
    ) -> None:
        self._receive = receive

    async def publish(self, queue: str, body: bytes, *, lasting: bool) -> None:
        assert lasting
        ((barrier,), _) = WRITES.decode(body)
        assert isinstance(barrier, Barrier)
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.published.append((barrier, confirmed))
        await confirmed

    async def close(self) -> None:
        self.lost.set_result(None)

    def confirm(self, number: int) -> None:
        self.published[number][1].set_result(None)

    def answer(self, number: int) -> None:
        assert self._receive is not None
        reply = BarrierPassed(self.published[number][0].correlation_id)
        self._receive(Incoming(REPLIES.encode([reply]), 1, False, ""))


class HeldBroker:
    def __init__(self) -> None:
        self.held = HeldChannel()

    async def channel(self) -> Channel:
        return cast(Channel, self.held)


async def asking(deadline_s: float = 5.0) -> tuple[Asking, HeldChannel]:
    broker = HeldBroker()
    return await Asking.open(cast(Broker, broker), "test", deadline_s), broker.held


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_who_ask_before_it_is_published_share_a_barrier() -> None:
    ask, channel = await asking()
    first = asyncio.create_task(ask.ask_barrier(0))
    await settle()
    rest = [asyncio.create_task(ask.ask_barrier(0)) for _ in range(5)]
    await settle()
    assert len(channel.published) == 1
    channel.confirm(0)
    await settle()
    assert len(channel.published) == 2
    channel.answer(0)
    await settle()
    assert first.done()
    assert not any(task.done() for task in rest)
    channel.confirm(1)
    channel.answer(1)
    await asyncio.gather(first, *rest)


async def test_partitions_do_not_wait_for_each_other() -> None:
    ask, channel = await asking()
    tasks = [asyncio.create_task(ask.ask_barrier(partition)) for partition in (0, 1)]
    await settle()
    assert len(channel.published) == 2
    for number in (1, 0):
        channel.confirm(number)
        channel.answer(number)
    await asyncio.gather(*tasks)


async def test_an_answer_may_overtake_the_confirm_and_come_twice() -> None:
    ask, channel = await asking()
    task = asyncio.create_task(ask.ask_barrier(0))
    await settle()
    channel.answer(0)
    channel.answer(0)
    channel.confirm(0)
    await task
    channel.answer(0)


async def test_who_gives_up_does_not_take_the_barrier_from_others() -> None:
    ask, channel = await asking()
    first, second = (asyncio.create_task(ask.ask_barrier(0)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    channel.confirm(0)
    channel.answer(0)
    await second
    assert first.cancelled()


async def test_no_answer_in_time() -> None:
    ask, channel = await asking(deadline_s=0.01)
    with pytest.raises(TimeoutError):
        await ask.ask_barrier(0)
    # The next one is asked anew, not with the one that failed.
    task = asyncio.create_task(ask.ask_barrier(0))
    await settle()
    assert len(channel.published) == 2
    channel.confirm(1)
    channel.answer(1)
    await task


async def test_everybody_learns_that_the_channel_is_lost() -> None:
    ask, channel = await asking()
    waiting = asyncio.create_task(ask.ask_barrier(0))
    await settle()
    channel.confirm(0)
    await settle()
    await ask.close()
    with pytest.raises(BrokerLost):
        await waiting


async def test_a_publish_that_fails_fails_all_who_share_it() -> None:
    ask, channel = await asking()
    tasks = [asyncio.create_task(ask.ask_barrier(0)) for _ in range(3)]
    await settle()
    channel.published[0][1].set_exception(Unroutable("chat.writes.0"))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Unroutable] * 3
