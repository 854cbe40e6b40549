"""What a fault is, and the scene that it strikes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Final, Literal, Protocol
from uuid import UUID

from local import environment, postgres, readiness
from local.ports import remembered_ports
from local.roles import Role
from local.stack import Stack
from tests.chaos.clocks import Clocks
from tests.chaos.links import Links
from tests.integration.conftest import System
from tests.integration.watching import House

Touches = Literal["nobody", "gateway", "everyone"]
"""Whose connections a fault may close: nobody's, those on the gateways that it hit, all."""

POLL_S = 0.05


class Fault(Protocol):
    """One thing that is done to the system. Holds nothing of a strike: it may strike again."""

    @property
    def name(self) -> str:
        """As in the closing table."""

    @property
    def touches(self) -> Touches: ...

    @property
    def target_s(self) -> float | None:
        """How soon after it messages shall flow in every partition; None: nothing was promised."""

    async def strike(self, scene: "Scene", random: Random) -> str:
        """Does it and lifts it, in bounded time; returns whom it hit, with which numbers.

        Calls `scene.lifted` when the fault itself is over: of a kill the kill, of an outage when
        the server answers again, of a stall the SIGCONT. Leaves nothing behind when it is
        cancelled. Raises Unexpected when the system has not done what it must.
        """


@dataclass(frozen=True)
class Done:
    """A fault whose striking is a function."""

    name: str
    touches: Touches
    target_s: float | None
    do: "Callable[[Scene, Random], Awaitable[str]]"

    async def strike(self, scene: "Scene", random: Random) -> str:
        return await self.do(scene, random)


class Unexpected(Exception):
    """What the system did, or failed to do, under a fault. A violation like the checker's."""


@dataclass(frozen=True)
class Party:
    """Two users whose conversation goes on all the time, a message each some 100 ms."""

    conversation: UUID
    users: tuple[UUID, UUID]


class Servers:
    """The servers themselves, past any proxy, as their administrator."""

    def __init__(self, stack: Stack) -> None:
        self._layout = stack.layout
        self._ports = remembered_ports(stack.layout.ports)
        variables = stack.environment()
        self.redis: Final = variables["CHAT_REDIS_URL"]
        self.amqp: Final = variables["CHAT_AMQP_URL"]
        self.database: Final = variables["CHAT_DATABASE_URL"]

    async def answers(self, server: str) -> None:
        """Waits until postgres, redis or rabbitmq does its work. Raises Unexpected after 60 s."""
        assert server in environment.SERVERS
        checks: dict[str, Callable[[], bool]] = {
            "postgres": lambda: postgres.answers(self._layout, self._ports["postgres"]),
            "redis": lambda: readiness.redis_answers(self._ports["redis"]),
            "rabbitmq": lambda: readiness.amqp_answers(self._ports["rabbitmq"]),
        }

        async def holds() -> bool:
            return await asyncio.to_thread(checks[server])

        await become(holds, 60, f"{server} answers")


@dataclass
class Scene:
    """What one strike may lay hands on, and what it tells of itself."""

    house: House
    system: System
    servers: Servers
    links: Links
    clocks: Clocks
    parties: Sequence[Party]
    flows: Callable[[float, float], Awaitable[float | None]]
    """flows(since, within_s): seconds from that moment (perf_counter) until messages sent after it
    had come in every partition, from both users; None: not within so many."""
    is_alone: bool
    """Whether nothing else is being done to the system, so that `flows` can be demanded."""
    changing: asyncio.Lock
    """Held while programs are stopped and started by supervisor: one at a time."""
    explained: list[bytes]
    """Bodies that the campaign itself has poisoned: when they come to `chat.dead` all is well."""
    hit: set[str] = field(default_factory=set)
    """Programs whose clients' connections may be closed by it."""
    lifted_at: float | None = None

    @property
    def stack(self) -> Stack:
        return self.house.stack

    def lifted(self) -> None:
        """The fault itself is over: from now on recovery is counted. The last call counts."""
        self.lifted_at = perf_counter()

    def choose(self, role: Role, random: Random) -> str:
        """A program of the role, which is hit."""
        program = random.choice(self.house.programs(role))
        self.hit.add(program)
        return program


async def become(holds: Callable[[], Awaitable[bool]], within_s: float, what: str) -> float:
    """Returns the seconds that it took for the condition to hold. Raises Unexpected."""
    began = perf_counter()
    while not await holds():
        if perf_counter() - began > within_s:
            raise Unexpected(f"not within {within_s:.0f} s: {what}")
        await asyncio.sleep(POLL_S)
    return perf_counter() - began
