"""One AMQP message carries many items: what gathers them (DESIGN.md, section 6)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from libs.common.domain.pacing import rest_s
from libs.common.metrics import BATCH_SIZE

T = TypeVar("T")


class Outbox(Generic[T]):
    """Gathers items for one queue and publishes them in order, one batch in flight.

    A batch is flushed when the previous one was confirmed and its rest is over (`rest_s`); at
    once when idle. So the rate of AMQP messages is bounded by time, and their size grows with
    the load.
    """

    def __init__(
        self, publish: Callable[[list[T]], Awaitable[None]], *, pacing_s: float, stage: str
    ) -> None:
        """`publish` gets each batch once. When it raises, `failed` holds what it raised."""
        self._publish = publish
        self._pacing_s = pacing_s
        self._sizes = BATCH_SIZE.labels(stage)
        self._items: list[T] = []
        self._flusher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Holds what `publish` raised. Items added afterwards stay where they are."""

    def add(self, item: T, *, patience_s: float = 0.0) -> None:
        """An idle outbox waits up to `patience_s` for company before it flushes this item."""
        self._items.append(item)
        if self._flusher is not None or self.failed.done():
            return
        if patience_s <= 0:
            self._start()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(patience_s, self._start)

    async def drain(self) -> None:
        """Returns when all that was added is confirmed. Raises what `publish` raised."""
        if self._items and self._flusher is None and not self.failed.done():
            self._start()
        while self._flusher is not None:
            await asyncio.wait((self._flusher, self.failed), return_when=asyncio.FIRST_COMPLETED)
            if self.failed.done():
                break
        if self.failed.done():
            self.failed.result()

    def close(self) -> None:
        """Forgets what waits."""
        if self._timer is not None:
            self._timer.cancel()
        if self._flusher is not None:
            self._flusher.cancel()
        self._items.clear()
        if self.failed.done():
            self.failed.exception()  # seen: asyncio needs not complain that nobody looked

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._items:
                started = loop.time()
                batch, self._items = self._items, []
                self._sizes.observe(len(batch))
                await self._publish(batch)
                rest = rest_s(len(batch), loop.time() - started, self._pacing_s)
                if rest > 0:
                    await asyncio.sleep(rest)
        except Exception as error:  # noqa: BLE001 - handed on, whatever it is
            if not self.failed.done():
                self.failed.set_exception(error)
        finally:
            self._flusher = None
