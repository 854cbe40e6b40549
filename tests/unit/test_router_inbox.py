"""What waits for a task."""

import asyncio

from services.router.inbox import Inbox


async def test_all_that_has_come_is_taken_in_order() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put([1, 2])
    inbox.put(iter([3]))
    assert await inbox.take() == [1, 2, 3]


async def test_who_waits_is_woken() -> None:
    inbox: Inbox[int] = Inbox()
    taking = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    inbox.put([])
    await asyncio.sleep(0)
    assert not taking.done(), "nothing is nothing"
    inbox.put([7])
    assert await taking == [7]


async def test_nothing_in_time_is_nothing_and_loses_nothing() -> None:
    inbox: Inbox[int] = Inbox()
    assert await inbox.take(0) == []
    inbox.put([1])
    assert await inbox.take(0) == [1]
    assert await inbox.take(0) == []


async def test_a_taker_who_gives_up_takes_nothing_along() -> None:
    inbox: Inbox[int] = Inbox()
    taking = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    inbox.put([1])
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert await inbox.take() == [1]
