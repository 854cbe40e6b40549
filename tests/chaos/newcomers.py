"""Users who connect at a given rate and stay, in a process of its own.

`python -m tests.chaos.newcomers` reads a line with a `Plan` as JSON, makes the conversations,
prints "ready", waits for one more line, opens, and prints an `Opened` as JSON for each phase.
It keeps the connections until its input ends.
"""

import asyncio
import sys
from uuid import UUID

import msgspec
import uvloop

from tests.bench.connection import Connection
from tests.bench.generator import CONNECT_S, conversations, now, percentiles, token
from tests.chaos.crowd import Phase


class Plan(msgspec.Struct):
    """`users` are (newcomer, whom they have a conversation with); `phases` say connections/s."""

    port: int
    secret: str
    users: list[tuple[UUID, UUID]]
    phases: list[Phase]
    host: str = "127.0.0.1"


class Opened(msgspec.Struct):
    """Of one phase. `ms` from the first SYN to CONNECT_SUCCESS: p50, p95, p99 and maximum."""

    phase: str
    begun: int
    failed: list[str]
    ms: list[float]


async def run() -> None:
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.buffer.readline)
    plan = msgspec.json.decode(line, type=Plan)
    await conversations(plan.host, plan.port, plan.secret, plan.users)
    tokens = [token(plan.secret, user) for user, _ in plan.users]
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.readline)
    connections: list[Connection] = []
    coming: list[list[asyncio.Task[float]]] = []
    begins = now()
    for phase in plan.phases:
        coming.append([])
        for number in range(int(phase.rate * phase.seconds)):
            await asyncio.sleep(begins + number / phase.rate - now())
            coming[-1].append(asyncio.create_task(_open(plan, tokens.pop(), connections)))
        begins += phase.seconds
    for phase, tasks in zip(plan.phases, coming, strict=True):
        took = await asyncio.gather(*tasks, return_exceptions=True)
        opened = Opened(
            phase.name,
            begun=len(took),
            failed=[repr(one) for one in took if isinstance(one, BaseException)],
            ms=percentiles([one for one in took if not isinstance(one, BaseException)]),
        )
        print(msgspec.json.encode(opened).decode(), flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    for connection in connections:
        connection.close()


async def _open(plan: Plan, token: str, connections: list[Connection]) -> float:
    """Seconds."""
    began = now()
    connection = Connection(plan.host, token, lambda _: None)
    connections.append(connection)
    async with asyncio.timeout(CONNECT_S):
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, plan.host, plan.port)
        await connection.ready
    return now() - began


if __name__ == "__main__":
    uvloop.run(run())
