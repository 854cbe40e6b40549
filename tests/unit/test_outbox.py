"""What gathers items into AMQP messages."""

import asyncio

import pytest

from libs.common.outbox import Outbox


class Broker:
    """Takes batches; confirms when `confirm` is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.called = asyncio.Event()
        self.confirm = asyncio.Event()
        self.confirm.set()
        self.error: Exception | None = None

    async def publish(self, batch: list[int]) -> None:
        self.batches.append(batch)
        self.called.set()
        await self.confirm.wait()
        if self.error:
            raise self.error


def outbox(broker: Broker, pacing_s: float = 0.0) -> Outbox[int]:
    return Outbox(broker.publish, pacing_s=pacing_s, stage="test")


async def test_idle_it_flushes_at_once_and_then_gathers_until_the_confirm() -> None:
    broker = Broker()
    broker.confirm.clear()
    box = outbox(broker)
    box.add(1)
    await asyncio.sleep(0)
    for number in (2, 3, 4):
        box.add(number)
        await asyncio.sleep(0)
    assert broker.batches == [[1]]
    broker.confirm.set()
    await box.drain()
    assert broker.batches == [[1], [2, 3, 4]]


async def test_pacing_bounds_the_number_of_messages() -> None:
    broker = Broker()
    box = outbox(broker, pacing_s=0.05)
    for number in range(100):
        box.add(number)
        await asyncio.sleep(0)
    await box.drain()
    assert [len(batch) for batch in broker.batches] == [1, 99]


async def test_what_can_wait_goes_with_what_cannot() -> None:
    broker = Broker()
    box = outbox(broker)
    box.add(1, patience_s=60)
    box.add(2, patience_s=60)
    await asyncio.sleep(0.01)
    assert broker.batches == []
    box.add(3)
    await box.drain()
    assert broker.batches == [[1, 2, 3]]


async def test_what_can_wait_goes_by_itself_after_a_while() -> None:
    broker = Broker()
    box = outbox(broker)
    box.add(1, patience_s=0.01)
    await asyncio.wait_for(broker.called.wait(), 5)
    assert broker.batches == [[1]]


async def test_draining_does_not_wait_for_patience() -> None:
    broker = Broker()
    box = outbox(broker)
    box.add(1, patience_s=60)
    async with asyncio.timeout(5):
        await box.drain()
    assert broker.batches == [[1]]


async def test_a_failure_is_told_and_ends_it() -> None:
    broker = Broker()
    broker.error = ConnectionError("gone")
    box = outbox(broker)
    box.add(1)
    with pytest.raises(ConnectionError):
        await box.failed
    box.add(2)
    with pytest.raises(ConnectionError):
        await box.drain()
    assert broker.batches == [[1]]
    box.close()
