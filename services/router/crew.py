"""Tasks that are started and left to themselves, few at once, and end with who started them."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from libs.common.lifecycle import ended


class Crew:
    """Use with `async with`. What a task raises is raised by the next `start`.

    Unlike asyncio.TaskGroup it raises what was raised, not a group of one: BrokerLost must be
    known as such.
    """

    def __init__(self, places: asyncio.Semaphore) -> None:
        """`places`: each task has one; other crews may share them and outlive this one."""
        self._places = places
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None

    async def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Once there is a place. Raises what an earlier one has raised; then no work is begun."""
        await self._places.acquire()
        if self._failure is not None:
            self._places.release()
            raise self._failure
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: "asyncio.Task[Any]") -> None:
        # Here, as a task that is cancelled before its first step comes to no `finally` of its own.
        self._places.release()
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    async def __aenter__(self) -> "Crew":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await ended(*self._tasks)
