"""From start to stop of an asyncio role: one loop, signals, the admin port, reconnecting."""

import asyncio
import gc
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog
import uvloop
from stamina.instrumentation import RetryDetails, StructlogOnRetryHook, set_on_retry_hooks

from libs.common import logs, tracing
from libs.common.admin import Health, serve_admin
from libs.common.broker import Broker, BrokerLost
from libs.common.config import RoleSettings
from libs.common.listener import listen
from libs.common.metrics import LOOP_LAG, RETRIES
from libs.common.passages import PASSAGES

RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 2.0
HEALTH_S: Final = 0.2
BEAT_S: Final = 0.25
CANCEL_AGAIN_S: Final = 0.5
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Objects that a batch makes die by themselves; the default of 700 looks at each batch's several
times, 10 % of a router's CPU (docs/performance.md)."""

log = structlog.get_logger()


class Life:
    """What a role's main gets: whether to stop, and where to say how it is."""

    def __init__(self, health: Health) -> None:
        self.health = health
        self.stopping = asyncio.Event()
        """Set by SIGTERM or SIGINT: finish what you hold, then return."""

    def stop(self) -> None:
        """Unready from now on: what comes new shall go elsewhere."""
        self.health.stop()
        self.stopping.set()

    async def pause(self, seconds: float) -> None:
        """Sleeps, but wakes to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    async def until_stopped_or_lost(self, *lost: "asyncio.Future[Any]") -> None:
        """Returns to stop. When a future of `lost` is done: raises what it holds, or BrokerLost."""
        await unless_lost(self.stopping.wait(), *lost)


def run(
    role: str, settings: RoleSettings, main: Callable[[Life], Coroutine[Any, Any, None]]
) -> None:
    """Runs `main` until it returns; a process of a role is this and nothing besides."""
    logs.configure(role, settings.instance, settings.log_level)
    PASSAGES.most_bytes = settings.trace_mib << 20
    tracing.start(role, settings)
    # Its own metric has a label that counts up for as long as a server is away.
    set_on_retry_hooks((StructlogOnRetryHook, _count_retry))
    uvloop.run(_live(settings, main))


async def _live(settings: RoleSettings, main: Callable[[Life], Coroutine[Any, Any, None]]) -> None:
    health = Health()
    life = Life(health)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.stop)
    admin = serve_admin(health, listen(settings.listen_host, settings.admin_port))
    beating = asyncio.create_task(beat(health))
    # What start-up has made stays for good: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    log.info("started")
    try:
        await main(life)
    finally:
        health.stop()
        beating.cancel()
        admin.shutdown()
        tracing.stop()
        log.info("stopped")


async def tell_health(life: Life, waiting_for: Callable[[], str | None]) -> None:
    """Says whether the role is ready, and what for it is not; until cancelled."""
    while True:
        reason = waiting_for()
        if reason is None:
            life.health.ready()
        else:
            life.health.unready(reason)
        await asyncio.sleep(HEALTH_S)


async def unless_lost(work: Coroutine[Any, Any, Any], *lost: "asyncio.Future[Any]") -> None:
    """Does `work`. When a future of `lost` is done before: raises what it holds, or BrokerLost."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, *lost}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
    for future in lost:
        if future.done():
            future.result()
            raise BrokerLost("connection lost")
    task.result()


async def ended(*tasks: "asyncio.Task[Any]") -> None:
    """Cancels the tasks and returns when they have ended; what they raised is theirs.

    A cancellation can get lost on the way down: `asyncio.wait_for` of Python 3.11 drops one that
    meets a result. So it is repeated.
    """
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=CANCEL_AGAIN_S)


async def beat(health: Health) -> None:
    """Says that the loop turns, and measures how late it is; until cancelled.

    A stall between two looks shows in the next one: all of it but up to BEAT_S.
    """
    loop = asyncio.get_running_loop()
    while True:
        health.beat()
        due = loop.time() + BEAT_S
        await asyncio.sleep(BEAT_S)
        LOOP_LAG.observe(max(0.0, loop.time() - due))


def _count_retry(details: RetryDetails) -> None:
    RETRIES.labels(type(details.caused_by).__name__).inc()


async def serve_while_connected(
    url: str, name: str, life: Life, serve: Callable[[Broker], Awaitable[None]]
) -> None:
    """Runs `serve` on one broker connection after the other until it returns without an error.

    `serve` makes all that depends on the connection and drops it on BrokerLost. Waits between
    tries grow from 0.2 to 2 s with jitter, so that a restarted broker isn't stormed.
    """
    pause = RETRY_FIRST_S
    while not life.stopping.is_set():
        try:
            broker = await Broker.connect(url, name)
        except BrokerLost as error:
            life.health.unready("RabbitMQ")
            log.warning("no broker", reason=str(error), retry_s=round(pause, 1))
            await life.pause(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, RETRY_MOST_S)
            continue
        pause = RETRY_FIRST_S
        try:
            await serve(broker)
            return
        except BrokerLost as error:
            life.health.unready("RabbitMQ")
            log.warning("broker lost", reason=str(error))
            await life.pause(RETRY_FIRST_S * random.uniform(0.5, 1.0))
        finally:
            await broker.close()
