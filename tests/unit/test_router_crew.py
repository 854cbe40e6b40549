"""Tasks that are left to themselves: none outlives its crew, and no failure goes unseen."""

import asyncio

import pytest

from services.router.crew import Crew


async def fail() -> None:
    raise LookupError("lost")


async def all_free(places: asyncio.Semaphore, count: int) -> None:
    async with asyncio.timeout(1):
        for _ in range(count):
            await places.acquire()


async def test_what_a_task_raises_is_raised_by_the_next_start() -> None:
    places = asyncio.Semaphore(2)
    async with Crew(places) as crew:
        await crew.start(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(LookupError):
            await crew.start(fail)
    await all_free(places, 2)


async def test_no_task_outlives_its_crew() -> None:
    was_cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()

    async with Crew(asyncio.Semaphore(1)) as crew:
        await crew.start(wait)
        await asyncio.sleep(0)
    assert was_cancelled.is_set()


async def test_no_more_at_once_than_there_are_places() -> None:
    places, done = asyncio.Semaphore(1), asyncio.Event()

    async def wait() -> None:
        await done.wait()

    async with Crew(places) as crew:
        await crew.start(wait)
        second = asyncio.create_task(crew.start(wait))
        await asyncio.sleep(0)
        assert not second.done()
        done.set()
        await second


async def test_a_task_that_is_cancelled_before_it_begins_gives_its_place_back() -> None:
    places = asyncio.Semaphore(1)
    async with Crew(places) as crew:
        await crew.start(fail)
    await all_free(places, 1)
