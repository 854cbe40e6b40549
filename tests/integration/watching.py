"""What an operator sees of the running system and does to it; conditions with deadlines."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import NamedTuple

import aio_pika
import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from local.roles import PERSISTER, ROUTER, Role, role_of
from local.stack import Stack

POLL_S = 0.05
PARTITIONS = int(os.environ.get("CHAT_PARTITIONS", "4"))
QUEUES = {ROUTER: "chat.events", PERSISTER: "chat.writes"}


async def until(
    holds: Callable[[], Awaitable[bool]], within_s: float, what: str | Callable[[], str]
) -> float:
    """Returns the seconds that it took for the condition to hold; fails after `within_s`."""
    began = monotonic()
    while not await holds():
        waited = monotonic() - began
        assert waited < within_s, (
            f"not within {within_s} s: {what if isinstance(what, str) else what()}"
        )
        await asyncio.sleep(POLL_S)
    return monotonic() - began


class Queue(NamedTuple):
    """What RabbitMQ says of one."""

    ready: int
    consumers: int


class House:
    """A running stack. Use `open_house` or `whole_house`."""

    def __init__(
        self,
        stack: Stack,
        admin: httpx.AsyncClient,
        database: "asyncpg.Connection[asyncpg.Record]",
    ) -> None:
        self.stack = stack
        self.variables = stack.environment()
        self.database = database
        self._admin = admin

    # ------------------------------------------------------------------ looking

    def programs(self, role: Role) -> list[str]:
        return sorted(name for name in self.stack.admin_ports() if role_of(name) == role)

    async def ask(self, program: str, path: str) -> httpx.Response:
        """What its admin port answers."""
        port = self.stack.admin_ports()[program]
        return await self._admin.get(f"http://127.0.0.1:{port}{path}")

    async def metric(self, program: str, name: str, **labels: str) -> float:
        """The sum of the samples with these labels; 0 when there are none."""
        text = (await self.ask(program, "/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def total(self, role: Role, name: str, **labels: str) -> float:
        """The same over all processes of a role."""
        asked = (self.metric(program, name, **labels) for program in self.programs(role))
        return sum(await asyncio.gather(*asked))

    async def shares(self, role: Role) -> list[int]:
        """How many partitions each process of the role says it has; [] while one doesn't answer."""
        try:
            asked = (self.metric(name, "chat_partitions_owned") for name in self.programs(role))
            return sorted(map(int, await asyncio.gather(*asked)))
        except httpx.TransportError:
            return []

    async def queues(self, prefix: str) -> list[Queue]:
        """What RabbitMQ says of the role's queues, by partition."""
        # A connection for each look: the broker may be restarted between two.
        connection = await aio_pika.connect(self.variables["CHAT_AMQP_URL"])
        async with connection, connection.channel() as channel:
            found: list[Queue] = []
            for partition in range(PARTITIONS):
                queue = await channel.declare_queue(f"{prefix}.{partition}", passive=True)
                counts = queue.declaration_result
                found.append(Queue(counts.message_count or 0, counts.consumer_count or 0))
        return found

    async def is_spread(self, role: Role, shares: list[int]) -> bool:
        """Whether the role's partitions are shared so, each with one consumer and no more."""
        if await self.shares(role) != shares:
            return False
        return all(queue.consumers == 1 for queue in await self.queues(QUEUES[role]))

    async def is_ready(self, program: str) -> bool:
        try:
            return (await self.ask(program, "/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    # ------------------------------------------------------------------ changing

    async def add(self, role: Role) -> str:
        return await asyncio.to_thread(self.stack.add, role)

    async def remove(self, program: str) -> None:
        await asyncio.to_thread(self.stack.stop_program, program)

    def send(self, program: str, number: signal.Signals) -> int:
        """Returns the pid of the process that got the signal."""
        pid = self.stack.pids()[program]
        os.kill(pid, number)
        return pid

    async def came_back(self, program: str, since: int, within_s: float = 15) -> None:
        """Waits until another process than `since` runs for the program, and is ready."""

        async def is_back() -> bool:
            return self.stack.pids().get(program, since) != since and await self.is_ready(program)

        await until(is_back, within_s, f"{program} is back")

    async def connect_to_database(self, within_s: float) -> None:
        """Anew, when PostgreSQL was restarted."""
        self.database.terminate()

        async def is_there() -> bool:
            try:
                self.database = await asyncpg.connect(self.variables["CHAT_DATABASE_URL"])
            except (OSError, asyncpg.PostgresError):
                return False
            return True

        await until(is_there, within_s, "PostgreSQL answers")

    # ------------------------------------------------------------------ waiting

    async def is_spread_within(self, within_s: float, role: Role, shares: list[int]) -> None:
        await until(lambda: self.is_spread(role, shares), within_s, f"{role.name}s own {shares}")

    async def is_whole(self) -> None:
        """All are ready and every partition has one owner: how each test leaves the house."""

        async def are_ready() -> bool:
            return all([await self.is_ready(name) for name in self.stack.admin_ports()])

        await until(are_ready, 20, "every role is ready")
        for role in (ROUTER, PERSISTER):
            await self.is_spread_within(10, role, [2, 2])


@asynccontextmanager
async def open_house(stack: Stack) -> AsyncIterator[House]:
    """That stack, which is up, in whatever state."""
    database = await asyncpg.connect(stack.environment()["CHAT_DATABASE_URL"])
    async with httpx.AsyncClient(timeout=2) as admin:
        house = House(stack, admin, database)
        try:
            yield house
        finally:
            # Another by now, where PostgreSQL was restarted.
            await house.database.close()


@asynccontextmanager
async def whole_house() -> AsyncIterator[House]:
    """The stack under test, found whole and left whole."""
    async with open_house(Stack(os.environ["CHAT_STACK"])) as house:
        await house.is_whole()
        yield house
        await house.is_whole()
