"""Tasks that are started and left to themselves, and end with the one that started them."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from libs.common.lifecycle import ended


class Crew:
    """Use with `async with`. What a task raises is raised by the next `start`.

    Unlike asyncio.TaskGroup it raises what was raised, not a group of one: BrokerLost must be
    known as such.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Raises what an earlier one has raised; then `work` is not begun."""
        if self._failure is not None:
            work.close()
            raise self._failure
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: "asyncio.Task[Any]") -> None:
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
