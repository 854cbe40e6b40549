"""Strikes the system with faults, and measures how long it takes to recover from each."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Final

import asyncpg
from aio_pika.exceptions import AMQPError
from httpx import HTTPError
from redis.exceptions import RedisError
from websockets.exceptions import WebSocketException

from libs.client.session import SessionClosed
from local.failure import StackError
from tests.chaos.evidence import Injection, Violation
from tests.chaos.faults import Fault, Scene, Servers, Touches, Unexpected
from tests.chaos.probes import Probes
from tests.integration.conftest import System
from tests.integration.watching import House

RECOVERY_S: Final = 60.0
STRIKE_S: Final = 180.0
CALM_S: Final = 1.0
AFTERMATH_S: Final = 10.0
"""Connections that a fault may close are closed at most so long after messages flow again."""
OUT_OF_REACH = (
    OSError,
    TimeoutError,
    AssertionError,
    StackError,
    ConnectionError,
    AMQPError,
    RedisError,
    HTTPError,
    WebSocketException,
    SessionClosed,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
"""What a fault's own hands meet when another fault has hold of what they want."""


@dataclass(frozen=True)
class Step:
    """Faults that begin one after the other, each so many seconds after the one before."""

    faults: tuple[Fault, ...]
    pauses_s: tuple[float, ...]


def plan(faults: Sequence[Fault], random: Random) -> Iterator[Step]:
    """Every fault alone, in any order; then two or three at once or in quick succession, for ever.

    The same seed gives the same plan.
    """
    for fault in random.sample(faults, k=len(faults)):
        yield Step((fault,), (0.0,))
    while True:
        several = random.sample(faults, k=min(len(faults), random.choice((2, 2, 3))))
        yield Step(tuple(several), (0.0, *(random.uniform(0, 4) for _ in several[1:])))


@dataclass
class Struck:
    """One strike, from its begin on."""

    touches: Touches
    began: float
    hit: set[str] = field(default_factory=set)
    ended: float | None = None
    """When messages flowed again."""

    def may_close(self, gateway: str, at: float) -> bool:
        """Whether a session of this gateway (`""`: not known) that was closed then is its doing."""
        if at < self.began or (self.ended is not None and at > self.ended + AFTERMATH_S):
            return False
        return self.touches == "everyone" or (
            self.touches == "gateway" and (gateway in self.hit or not gateway)
        )


class Injecting:
    """Uses the probes and the house of a running campaign."""

    def __init__(
        self, house: House, system: System, probes: Probes, *, say: Callable[[str], None]
    ) -> None:
        self.injections: list[Injection] = []
        self.violations: list[Violation] = []
        self.explained: list[bytes] = []
        self.struck: list[Struck] = []
        self._house = house
        self._system = system
        self._probes = probes
        self._servers = Servers(house.stack)
        self._changing = asyncio.Lock()
        self._say = say

    async def take(self, step: Step, random: Random) -> None:
        """Returns when all of the system is whole again."""
        async with asyncio.TaskGroup() as tasks:
            for fault, pause_s in zip(step.faults, step.pauses_s, strict=True):
                await asyncio.sleep(pause_s)
                # Its own, so that what one does is the same whatever the others do.
                own = Random(random.random())
                tasks.create_task(self._strike(fault, own, is_alone=len(step.faults) == 1))
        await self._become_whole(" + ".join(fault.name for fault in step.faults))
        await self._probes.go_home()
        await asyncio.sleep(CALM_S)

    async def _strike(self, fault: Fault, random: Random, *, is_alone: bool) -> None:
        scene = Scene(
            house=self._house,
            system=self._system,
            servers=self._servers,
            parties=self._probes.parties,
            flows=self._probes.flows,
            is_alone=is_alone,
            changing=self._changing,
            explained=self.explained,
        )
        began = perf_counter()
        struck = Struck(fault.touches, began, scene.hit)
        self.struck.append(struck)
        try:
            async with asyncio.timeout(STRIKE_S):
                detail = await fault.strike(scene, random)
        except Unexpected as unexpected:
            detail = f"UNEXPECTED: {unexpected}"
            self._violated(f"{fault.name}: {unexpected}")
        except OUT_OF_REACH as error:
            detail = f"not done: {error!r}"
            if is_alone:
                self._violated(f"{fault.name} could not be done: {error!r}")
        lifted = scene.lifted_at or perf_counter()
        recovery = await self._probes.recovery(lifted, RECOVERY_S)
        struck.ended = perf_counter()
        if recovery.stored_after_s is None:
            self._violated(f"{fault.name}: no recovery within {RECOVERY_S:.0f} s; {recovery}")
        closed = self._closed_without_cause(struck)
        self.injections.append(
            Injection(
                fault=fault.name,
                detail=detail,
                is_alone=is_alone,
                target_s=fault.target_s,
                began=began,
                lifted=lifted,
                flows_after_s=recovery.flows_after_s,
                stored_after_s=recovery.stored_after_s,
                untouched_closed=closed,
            )
        )
        self._say(
            f"{'' if is_alone else '+ '}{fault.name}: {detail}; "
            f"flows after {_seconds(recovery.flows_after_s)}, "
            f"stored after {_seconds(recovery.stored_after_s)}"
            + (f"; untouched, but closed: {closed}" if closed else "")
        )

    def _closed_without_cause(self, struck: Struck) -> list[str]:
        """Of the probes' sessions, those that ended meanwhile and that no fault may have closed."""
        assert struck.ended is not None
        return [
            closure.what
            for closure in self._probes.closures
            if struck.began <= closure.at <= struck.ended
            and not any(other.may_close(closure.gateway, closure.at) for other in self.struck)
        ]

    async def _become_whole(self, after: str) -> None:
        try:
            await self._house.is_whole()
        except AssertionError as error:
            self._violated(f"{after}: the system does not become whole: {error}")

    def _violated(self, detail: str) -> None:
        self.violations.append(Violation("RECOVERY", None, detail))
        print(f"VIOLATION {detail}", file=sys.stderr, flush=True)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
