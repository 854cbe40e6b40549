"""Tasks that are left to themselves: none outlives its crew, and no failure goes unseen."""

import asyncio

import pytest

from services.router.crew import Crew


async def fail() -> None:
    raise LookupError("lost")


async def test_what_a_task_raises_is_raised_by_the_next_start() -> None:
    async with Crew() as crew:
        crew.start(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(LookupError):
            crew.start(fail())


async def test_no_task_outlives_its_crew() -> None:
    was_cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()

    async with Crew() as crew:
        crew.start(wait())
        await asyncio.sleep(0)
    assert was_cancelled.is_set()
